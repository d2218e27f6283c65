// Takes telemetry as raw QUIC datagrams, and shows for each sender how much comes and how much is lost.
//
//   node examples/telemetry/server.mjs        PORT=4433 by default
//
// Datagrams are not sent again and not put in order: a late reading is worth nothing, the next one is on its way.

import { createH3Server } from 'trilane';
import { ALPN, decode } from './packet.mjs';
import { Tally } from './tally.mjs';

const senders = new Map();

const server = createH3Server({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT ?? 4433),
  limits: { idleTimeoutMs: 5000 }, // a sender that vanishes is gone after this
  quicAlpn: [ALPN], // connections of this protocol have no HTTP, every datagram is for `quicDatagram`
  onConnection(connection) {
    if (connection.alpn === ALPN) senders.set(connection.connectionIdHex, new Tally());
  },
  quicDatagram(payload, { connectionIdHex }) {
    const packet = decode(payload);
    if (packet !== null) senders.get(connectionIdHex)?.add(packet, payload.byteLength);
  },
  onConnectionClose({ connectionIdHex }) {
    const tally = senders.get(connectionIdHex);
    senders.delete(connectionIdHex);
    if (tally !== undefined) console.log(`${shortened(connectionIdHex)}  gone: ${tally.total()}`);
  },
});

const hash = Buffer.from(server.certificateHash).toString('hex');
console.log(`listening on ${server.url}. From another terminal, one of:`);
for (const runtime of [
  'node',
  'bun',
  'deno run --unstable-net --allow-net --allow-ffi --allow-read --allow-env',
]) {
  console.log(`  ${runtime} examples/telemetry/sender.mjs ${server.url} ${hash}`);
}

const timer = setInterval(() => {
  for (const [id, tally] of senders) console.log(`${shortened(id)}  ${tally.lastSecond()}`);
}, 1000);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  clearInterval(timer);
  await server.stop();
  server.close();
}

function shortened(id) {
  return id.slice(0, 8);
}
