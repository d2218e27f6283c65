// What `npm run stress` attacks, on any runtime. Prints {"port":N}; ends at SIGTERM.
//
//   /hello    any method: a short text, after the whole body has arrived
//   /sink     POST: reads the body as it comes and answers with its length
//   /source   GET: 1 GB, made as fast as it is taken
import process from 'node:process';

import { createH3Server } from '../../dist/index.js';

const SOURCE_BYTES = 1e9;
const PIECE = new Uint8Array(64 * 1024).fill(0x61);

async function sink(request) {
  let length = 0;
  for await (const chunk of request.body ?? []) length += chunk.byteLength;
  return new Response(String(length));
}

function source() {
  let left = SOURCE_BYTES;
  const body = new ReadableStream({
    pull(controller) {
      const piece = left < PIECE.byteLength ? PIECE.subarray(0, left) : PIECE;
      left -= piece.byteLength;
      controller.enqueue(piece);
      if (left === 0) controller.close();
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/octet-stream' } });
}

const server = createH3Server({
  port: 0,
  routes: [
    { method: 'POST', pattern: '/sink', mode: 'streaming', fetch: sink },
    { method: 'GET', pattern: '/source', fetch: source },
  ],
  fetch: () => new Response('hello world', { headers: { 'content-type': 'text/plain' } }),
});
console.log(JSON.stringify({ port: server.port }));
process.on('SIGTERM', () => process.exit(0));
