// The server that `npm run fuzz` attacks, on any runtime. Prints {"port":N}; answers each line on standard input with its
// counters; the line "end" stops it, and the process has to end by itself.
//
//   /echo       POST: the body that was sent
//   /sink       POST, PUT: reads the body as it comes, answers with its length
//   /source     GET: 256 KiB, made as they are taken
//   /users/:id  GET: the id
//   /session    extended CONNECT "connect-udp": sends back what comes
//   any other   a short text
import process from 'node:process';
import { createInterface } from 'node:readline';

import { createH3Server } from '../../dist/index.js';

const SOURCE_PIECES = 16;
const PIECE = new Uint8Array(16 * 1024).fill(0x61);
// Short, so that what vanished is forgotten soon.
const IDLE_MS = 3000;

async function sink(request) {
  let length = 0;
  for await (const chunk of request.body ?? []) length += chunk.byteLength;
  return new Response(String(length));
}

function source() {
  let left = SOURCE_PIECES;
  return new Response(
    new ReadableStream({
      pull(controller) {
        controller.enqueue(PIECE);
        left -= 1;
        if (left === 0) controller.close();
      },
    }),
  );
}

const silent = () => undefined;

const server = createH3Server({
  hostname: '127.0.0.1',
  port: 0,
  // What handlers throw when their clients go away is expected here.
  logger: { debug: silent, info: silent, warn: silent, error: silent },
  limits: { idleTimeoutMs: IDLE_MS, headerTimeoutMs: IDLE_MS, bodyTimeoutMs: IDLE_MS },
  routes: [
    { method: 'POST', pattern: '/echo', fetch: async (request) => new Response(await request.arrayBuffer()) },
    { method: ['POST', 'PUT'], pattern: '/sink', mode: 'streaming', fetch: sink },
    { method: 'GET', pattern: '/source', fetch: source },
    { method: 'GET', pattern: '/users/:id', fetch: (request) => new Response(request.params.id) },
    {
      method: 'CONNECT',
      protocol: 'connect-udp',
      pattern: '/session',
      mode: 'streaming',
      fetch: (request) => new Response(request.body),
    },
  ],
  fetch: () => new Response('hello world', { headers: { 'content-type': 'text/plain' } }),
});
console.log(JSON.stringify({ port: server.port }));

/** Memory that only waits for its collector is no leak. */
function collectGarbage() {
  if (globalThis.Bun) globalThis.Bun.gc(true);
  else globalThis.gc?.();
}

let ending = false;

/** Gracefully, as a program ends that is told to. Standard input ends as well: nothing else keeps the process. */
async function end() {
  ending = true;
  await server.stop();
  server.close();
}

const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  if (line === 'end') {
    await end();
    return;
  }
  collectGarbage();
  const { connectionsActive, requestsActive, connectionsTotal, requests, protocolErrors } = server.getStats();
  console.log(
    JSON.stringify({
      connectionsActive,
      requestsActive,
      connectionsTotal: Number(connectionsTotal),
      requests: Number(requests),
      protocolErrors: Number(protocolErrors),
    }),
  );
});
// Whoever started it is gone: so is its purpose.
lines.on('close', () => {
  if (!ending) server.close();
});
