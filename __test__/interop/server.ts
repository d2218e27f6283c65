import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, fileResponse, type H3Server, Response, withTrailers } from 'trilane';
import { RAW_ALPN } from './raw-checks.js';
import { sessionRoutes } from './session-routes.js';

/** A file of about a hundred kilobytes that is there wherever the clients run. */
const SERVED_FILE = new URL('../../package-lock.json', import.meta.url);

/** The server that foreign clients are set on: what `checks.ts` and its like in other languages expect. */
export function startInteropServer(): H3Server {
  const download = Uint8Array.from({ length: 1 << 20 }, (_, at) => at % 251);
  let aborted = 0;
  return createH3Server({
    hostname: '127.0.0.1',
    routes: [
      { method: 'GET', pattern: '/hello', fetch: () => new Response('hello') },
      {
        method: 'POST',
        pattern: '/echo',
        fetch: async (request) => new Response(await request.arrayBuffer()),
      },
      { method: 'GET', pattern: '/download', fetch: () => new Response(download) },
      { method: 'GET', pattern: '/number/:n', fetch: (request) => new Response(request.params.n) },
      { method: 'GET', pattern: '/file', fetch: () => fileResponse(SERVED_FILE) },
      { method: 'GET', pattern: '/stream', fetch: () => new Response(numbers()) },
      {
        method: 'GET',
        pattern: '/hint',
        fetch(request, server) {
          server.informational(request, 103, { link: '</style.css>; rel=preload; as=style' });
          return new Response('hinted');
        },
      },
      {
        // Sends the trailers of the request back, behind its body.
        method: 'POST',
        pattern: '/trailers',
        mode: 'streaming',
        fetch: (request) =>
          withTrailers(new Response(request.body, { headers: { trailer: 'x-sum' } }), () => request.trailers),
      },
      {
        method: 'GET',
        pattern: '/endless',
        fetch(request) {
          request.signal.addEventListener('abort', () => {
            aborted += 1;
          });
          return new Response(zeros());
        },
      },
      { method: 'GET', pattern: '/aborted', fetch: () => new Response(`${aborted}`) },
    ],
  });
}

async function* zeros(): AsyncGenerator<Uint8Array> {
  for (;;) {
    await sleep(1);
    yield new Uint8Array(10_000);
  }
}

/**
 * The server for clients of datagrams and sessions: what `raw-checks.ts` and `session-checks.ts` expect. Apart from the other,
 * which offers no datagrams, as some of its clients expect.
 */
export function startDatagramServer(): H3Server {
  return createH3Server({
    hostname: '127.0.0.1',
    quicAlpn: [RAW_ALPN],
    quicDatagram: (payload, connection) => void connection.sendReply(payload),
    routes: sessionRoutes(),
  });
}

async function* numbers(): AsyncGenerator<string> {
  for (let n = 0; n < 20; n++) {
    await sleep(5);
    yield `${n}\n`;
  }
}
