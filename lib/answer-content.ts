/** Whether trailers may follow. RFC 9114 §4.4: a tunnel has nothing but DATA frames. */
export function mayHaveTrailers(method: string, status: number): boolean {
  return mayHaveBody(method, status) && !(method === 'CONNECT' && status < 300);
}

/** Whether an answer has content: RFC 9110 §6.4.1; what is dropped here is dropped again, and counted, in the core. */
export function mayHaveBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 205 && status !== 304;
}
