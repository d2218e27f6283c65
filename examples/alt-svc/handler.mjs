// What both servers answer with: they share it, so that a client sees one site.

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>h2 to h3</title>
<p>This page came over <b id="page"></b>. <button>Ask again</button></p>
<ol></ol>
<script type="module">
  const protocol = (entries) => entries.at(-1).nextHopProtocol;
  document.getElementById('page').textContent = protocol(performance.getEntriesByType('navigation'));
  const ask = async () => {
    const { number } = await (await fetch('/api/number?' + crypto.randomUUID())).json();
    const line = document.createElement('li');
    line.textContent = 'number ' + number + ' over ' + protocol(performance.getEntriesByType('resource'));
    document.querySelector('ol').append(line);
  };
  document.querySelector('button').onclick = ask;
</script>
`;

let number = 0;

/** A fetch handler, as Bun.serve, Deno.serve, Hono and trilane know it. */
export async function handle(request) {
  const { pathname } = new URL(request.url);
  if (pathname === '/') return new Response(PAGE, { headers: { 'content-type': 'text/html' } });
  if (pathname === '/api/number') {
    number += 1;
    return Response.json({ number }, { headers: { 'cache-control': 'no-store' } });
  }
  if (pathname === '/api/echo') return new Response(await request.arrayBuffer());
  return new Response('not here', { status: 404 });
}
