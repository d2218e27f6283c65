// HTTP/3 in front of a server that speaks HTTP/1.1: requests and answers stream through, both at the same time.
//
//   node examples/proxy/server.mjs [http://upstream]     PORT=4433 by default; without an upstream it brings one

import { createH3Server } from 'trilane';
import { startOrigin } from './origin.mjs';
import { proxyTo } from './proxy.mjs';

const origin = process.argv[2] === undefined ? await startOrigin() : undefined;
const upstream = new URL(process.argv[2] ?? origin.url);

const server = createH3Server({
  port: Number(process.env.PORT ?? 4433),
  mode: 'streaming', // bodies pass through as they come, of any length
  fetch: proxyTo(upstream),
});
console.log(`listening on ${server.url}, in front of ${upstream}`);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  await server.stop();
  server.close();
  origin?.close();
}
