import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, fileResponse, type H3Server, Response } from '../../index.js';

/** A file of about a hundred kilobytes that is there wherever the clients run. */
const SERVED_FILE = new URL('../../package-lock.json', import.meta.url);

/** The server that foreign clients are set on: what `checks.ts` and its like in other languages expect. */
export function startInteropServer(): H3Server {
  const download = Uint8Array.from({ length: 1 << 20 }, (_, at) => at % 251);
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
    ],
  });
}

async function* numbers(): AsyncGenerator<string> {
  for (let n = 0; n < 20; n++) {
    await sleep(5);
    yield `${n}\n`;
  }
}
