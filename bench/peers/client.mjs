// A client under load: `client.mjs <client> <url> <seconds to warm up> <seconds> <at once>`. Prints one line of JSON.
import { createRequire } from 'node:module';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const [, , client, url, warmup, seconds, atOnce] = process.argv;
const HELLO = 11;

// Foreign clients are installed beside the runtimes.
const beside = createRequire(new URL('../../__test__/runtimes/package.json', import.meta.url));
const load = async (name) => import(pathToFileURL(beside.resolve(name)).href);

const CLIENTS = {
  async trilane() {
    const { H3Client } = await import('../../dist/index.js');
    const own = new H3Client({ insecure: true });
    return async () => (await own.fetch(url)).arrayBuffer();
  },
  async bun() {
    const how = { protocol: 'http3', tls: { rejectUnauthorized: false } };
    return async () => (await fetch(url, how)).arrayBuffer();
  },
  async currentspace() {
    const { connectAsync } = await load('@currentspace/http3');
    const { host } = new URL(url);
    const session = await connectAsync(host, { rejectUnauthorized: false });
    const head = { ':method': 'GET', ':path': '/', ':authority': host, ':scheme': 'https' };
    return () =>
      new Promise((resolve, reject) => {
        const stream = session.request(head, { endStream: true });
        const chunks = [];
        stream.on('data', (chunk) => chunks.push(chunk));
        stream.on('error', reject);
        stream.on('end', () => resolve(Buffer.concat(chunks)));
      });
  },
  'undici-h1': () => undici({ allowH2: false }),
  // Without `pipelining` it has one request under way on a connection, of HTTP/2 too.
  'undici-h2': () => undici({ allowH2: true, maxConcurrentStreams: 100, pipelining: 100, connections: 1 }),
};

async function undici(options) {
  const { Agent, fetch: send } = await load('undici');
  const dispatcher = new Agent({ ...options, connect: { rejectUnauthorized: false } });
  return async () => (await send(url, { dispatcher })).arrayBuffer();
}

const request = await CLIENTS[client]();
let end = performance.now() + Number(warmup) * 1_000;
await run();
const [cpu, began] = [process.cpuUsage(), performance.now()];
end = began + Number(seconds) * 1_000;
const requests = await run();
const { user, system } = process.cpuUsage(cpu);
const elapsed = performance.now() - began;
const figures = {
  perSecond: (requests * 1_000) / elapsed,
  cpuMicros: (user + system) / requests,
};
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));

/** Sends requests, so many at once, until the time is over; returns how many were answered. */
async function run() {
  let done = 0;
  const worker = async () => {
    while (performance.now() < end) {
      const body = await request();
      if (body.byteLength !== HELLO) throw new Error(`a body of ${body.byteLength} bytes`);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(atOnce) }, worker));
  return done;
}
