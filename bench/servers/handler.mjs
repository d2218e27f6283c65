// The same work in every JavaScript server of the benchmark: read method, path and one header, answer a short text.

/** A fetch handler that answers with the given Response class. */
export function hello(ResponseClass) {
  return (request) => {
    const { pathname } = new URL(request.url);
    const agent = request.headers.get('user-agent');
    if (request.method !== 'GET' || pathname === '' || agent === null) {
      return new ResponseClass('unexpected request', { status: 400 });
    }
    return new ResponseClass('hello world', { headers: { 'content-type': 'text/plain' } });
  };
}
