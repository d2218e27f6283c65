// A static site: files with ranges and conditional requests, caching by name, a page for folders, a 404 page.
//
//   node examples/static/server.mjs [FOLDER]      PORT=4433 by default; CERT and KEY name PEM files, for a browser

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createH3Server, fileResponse, serveStatic } from 'trilane';
import { folderPage } from './folder-page.mjs';

const folder = process.argv[2] ?? fileURLToPath(new URL('site', import.meta.url));
/** A name with a hash in it, such as app.3f9a1c2b.css, never has other content. */
const HASHED = /\.[0-9a-f]{8,}\.\w+$/;

const server = createH3Server({
  port: Number(process.env.PORT ?? 4433),
  certPath: process.env.CERT,
  keyPath: process.env.KEY,
  fetch: serveStatic(folder, {
    headers: (path) => ({
      'cache-control': HASHED.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache',
      'x-content-type-options': 'nosniff',
    }),
    notFound: async (request) => (await folderPage(resolve(folder), request)) ?? notFound(),
  }),
});
console.log(`listening on ${server.url}`);

function notFound() {
  return fileResponse(new URL('not-found.html', import.meta.url), { status: 404 });
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  await server.stop();
  server.close();
}
