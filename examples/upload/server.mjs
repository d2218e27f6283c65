// Files of any length, stored as they come, with progress as the server counts it.
//
//   node examples/upload/server.mjs [FOLDER]      PORT=8080 by default for the page; FOLDER: a new one of the system's
//
// Two ways in: a page, which sends each file on a stream of a WebTransport session and hears on the same stream how much
// has come; and `PUT /files/name` for every client of HTTP/3. Both end in the same place.

import { mkdtemp, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createH3Server } from 'trilane';
import { receiveFile } from './file-stream.mjs';
import { BadUpload, Store } from './store.mjs';

const HOST = '127.0.0.1';
/** What a session is closed with. */
const CLOSING = 1;
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/client.js': ['client.js', 'text/javascript'],
  '/style.css': ['style.css', 'text/css'],
};

const sessions = new Set();
const store = new Store(process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'uploads-'))));

// Browsers come by TCP first: the page learns here where the session is, and the hash of its certificate.
const pages = createServer((request, response) => {
  servePage(request, response).catch((error) => response.destroy(error));
});
await new Promise((resolve, reject) => {
  pages.once('error', reject).listen(Number(process.env.PORT ?? 8080), HOST, resolve);
});
const { port } = pages.address();

const server = createH3Server({
  hostname: HOST,
  routes: [
    {
      method: 'PUT',
      pattern: '/files/:name',
      mode: 'streaming', // the handler runs when the head is there; a client that is faster than the disk waits
      fetch: async ({ params, body }) =>
        Response.json(await store.save(params.name, body ?? []), { status: 201 }),
    },
    {
      method: 'CONNECT',
      pattern: '/uploads',
      // Pages of other sites may not open sessions here; programs, which have no origin, may.
      allowedOrigins: [`http://${HOST}:${port}`, `http://localhost:${port}`],
      async webtransport(session) {
        sessions.add(session);
        session.closed.catch(() => {}).then(() => sessions.delete(session));
        for await (const stream of session.incomingBidirectionalStreams) void receiveFile(stream, store);
      },
    },
  ],
  error: (error) =>
    error instanceof BadUpload ? new Response(`${error.message}\n`, { status: error.status }) : undefined,
});
console.log(`Open http://${HOST}:${port}/ and choose a file; it goes to ${store.folder}. Ctrl-C stops it.`);
console.log(`Without a page: curl --http3-only -k -T FILE ${server.url}files/`);

async function servePage(request, response) {
  if (request.url === '/session.json') {
    const url = new URL('/uploads', server.url).href;
    const certificateHash = Buffer.from(server.certificateHash).toString('base64');
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url, certificateHash }));
    return;
  }
  const file = FILES[request.url];
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  const [name, type] = file;
  response.setHeader('content-type', type);
  response.end(await readFile(new URL(name, import.meta.url)));
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  pages.close();
  pages.closeAllConnections();
  // A session never ends by itself: stop() would wait `drainTimeoutMs` for it. What a PUT is sending still finishes.
  for (const session of sessions) session.close(CLOSING, 'the server stops');
  await server.stop();
  server.close();
}
