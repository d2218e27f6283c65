// A player without a screen: goes to the nearest spark, and says how it fares.
//
//   node examples/game-loop/bot.mjs http://127.0.0.1:8080/ [SECONDS]
//
// Bun runs it, too; Deno with --allow-net --allow-ffi --allow-read --allow-env. Its WebTransport is the class of browsers: what
// is below would run in a page.

import process from 'node:process';
import { WebTransport } from 'trilane';
import { decodeSnapshot, encodeInput, KEYS, TICKS_PER_SECOND } from './protocol.js';

const [page = 'http://127.0.0.1:8080/', seconds = '10'] = process.argv.slice(2);

const { url, certificateHash } = await (await fetch(new URL('session.json', page))).json();
const value = Uint8Array.from(atob(certificateHash), (char) => char.charCodeAt(0));
const session = new WebTransport(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
await session.ready;

let newest = { tick: 0 };
let snapshots = 0;
const writer = session.datagrams.writable.getWriter();
let number = 0;
const timer = setInterval(() => {
  number += 1;
  writer.write(encodeInput({ number, keys: wish(newest) })).catch(() => {});
}, 1000 / TICKS_PER_SECOND);

const end = performance.now() + Number(seconds) * 1000;
const reader = session.datagrams.readable.getReader();
while (performance.now() < end) {
  const { done, value: datagram } = await reader.read();
  if (done) break;
  const snapshot = decodeSnapshot(datagram);
  if (snapshot.tick <= newest.tick) continue;
  newest = snapshot;
  snapshots += 1;
}
clearInterval(timer);
const { score } = newest.players.get(newest.you);
console.log(
  JSON.stringify({ score, snapshots, tick: newest.tick, inputs: number, lastInput: newest.lastInput }),
);
session.close();
await session.closed.catch(() => {});

/** The keys that lead to the nearest spark. */
function wish({ players, sparks, you }) {
  const me = players?.get(you);
  if (me === undefined) return 0;
  const away = ({ x, y }) => Math.hypot(x - me.x, y - me.y);
  const goal = sparks.reduce((best, spark) => (away(spark) < away(best) ? spark : best));
  let keys = 0;
  if (goal.x < me.x - 8) keys |= KEYS.left;
  if (goal.x > me.x + 8) keys |= KEYS.right;
  if (goal.y < me.y - 8) keys |= KEYS.up;
  if (goal.y > me.y + 8) keys |= KEYS.down;
  return keys;
}
