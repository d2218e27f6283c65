// One site over TCP and over QUIC, on the same port number: browsers come by HTTP/2, are told of HTTP/3, and move.
//
//   CERT=fullchain.pem KEY=privkey.pem PORT=8443 node examples/alt-svc/server.mjs
//   ... bun examples/alt-svc/server.mjs --with bun          beside Bun.serve (HTTP/1.1)
//   ... deno run -A examples/alt-svc/server.mjs --with deno beside Deno.serve
//
// The certificate must be one that browsers trust, as for any site: for QUIC, Chromium takes none of a local authority
// (docs/guides/alt-svc.md). PORT=0 takes any free port.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { altSvc, createH3Server } from 'trilane';
import { handle } from './handler.mjs';
import { TCP_SERVERS } from './tcp.mjs';

const { values } = parseArgs({ options: { with: { type: 'string', default: 'node' } } });
const { CERT, KEY, PORT = '8443' } = process.env;
const listen = TCP_SERVERS[values.with];
if (CERT === undefined || KEY === undefined || listen === undefined) {
  console.error('CERT=fullchain.pem KEY=privkey.pem node examples/alt-svc/server.mjs [--with node|bun|deno]');
  process.exit(1);
}
const pair = { cert: readFileSync(CERT, 'utf8'), key: readFileSync(KEY, 'utf8') };

let h3;

// TCP first: with PORT=0 it finds the number, and UDP takes the same.
const tcp = await listen({ port: Number(PORT), ...pair, fetch: tellOfH3 });
h3 = createH3Server({ port: tcp.port, ...pair, fetch: handle });
console.log(`https://localhost:${tcp.port}/ over TCP (${values.with}) and QUIC. Ctrl-C stops both.`);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

/** Answers over TCP, and says that HTTP/3 is there as well. */
async function tellOfH3(request) {
  const response = await handle(request);
  if (h3?.running) response.headers.set('alt-svc', altSvc(h3, { maxAgeSeconds: 3600 }));
  return response;
}

async function stop() {
  tcp.stop();
  await h3.stop();
  h3.close();
}
