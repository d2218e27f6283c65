// Sends a made-up reading some times a second, each as a datagram.
//
//   node examples/telemetry/sender.mjs URL HASH [--rate 200] [--lose 5] [--seconds 10]
//   bun examples/telemetry/sender.mjs URL HASH …
//   deno run --unstable-net --allow-net --allow-ffi --allow-read --allow-env examples/telemetry/sender.mjs URL HASH …
//
// `--lose 5` leaves out five of a hundred on purpose: the loopback of a machine loses nothing.

import process from 'node:process';
import { parseArgs } from 'node:util';
import { connect } from './connect.mjs';
import { ALPN, encode } from './packet.mjs';

const TICK_MS = 20;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rate: { type: 'string', default: '200' },
    lose: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '10' },
  },
});
const [url, hash] = positionals;
if (hash === undefined) {
  console.error('The server prints how to start this: with its URL and the hash of its certificate.');
  process.exit(1);
}

const connection = await connect(url, hash, ALPN);
console.log(`connected; a datagram can have ${connection.maxDatagramSize} bytes`);

const started = performance.now();
let number = 0;
const timer = setInterval(async () => {
  const elapsed = (performance.now() - started) / 1000;
  const due = Math.min(elapsed, Number(values.seconds)) * Number(values.rate);
  for (; number < due; number++) {
    if (Math.random() * 100 < Number(values.lose)) continue;
    connection.send(encode({ number, at: Date.now(), value: 20 + 5 * Math.sin(number / 100) }));
  }
  if (elapsed < Number(values.seconds)) return;
  clearInterval(timer);
  console.log(`${number} readings made`);
  await connection.close();
  process.exit(0);
}, TICK_MS);
