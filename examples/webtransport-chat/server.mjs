// A chat among browser tabs, and a plot of round-trip times: datagrams against streams.
//
//   node examples/webtransport-chat/server.mjs        PORT=8080 by default; PORT=0 takes any free port
//
// Browsers come by TCP first: node:http serves the page, which then asks this process for a WebTransport session. The
// certificate of that is made at the start; the page learns its hash and trusts it by serverCertificateHashes.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createH3Server } from 'trilane';
import { Room } from './room.mjs';

const HOST = '127.0.0.1';
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/client.js': ['client.js', 'text/javascript'],
  '/plot.js': ['plot.js', 'text/javascript'],
  '/style.css': ['style.css', 'text/css'],
};

const pages = createServer((request, response) => {
  servePage(request, response).catch((error) => response.destroy(error));
});
await new Promise((resolve, reject) => {
  pages.once('error', reject).listen(Number(process.env.PORT ?? 8080), HOST, resolve);
});
const { port } = pages.address();

const room = new Room();
const server = createH3Server({
  hostname: HOST,
  routes: [
    {
      method: 'CONNECT',
      pattern: '/chat',
      // Pages of other sites may not open sessions here.
      allowedOrigins: [`http://${HOST}:${port}`, `http://localhost:${port}`],
      webtransport: (session) => room.enter(session),
    },
  ],
});
console.log(`Open http://${HOST}:${port}/ in two tabs. Ctrl-C stops it.`);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function servePage(request, response) {
  if (request.url === '/session.json') {
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        url: new URL('/chat', server.url).href,
        certificateHash: Buffer.from(server.certificateHash).toString('base64'),
      }),
    );
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

async function stop() {
  pages.close();
  pages.closeAllConnections();
  room.close();
  await server.stop();
  server.close();
}
