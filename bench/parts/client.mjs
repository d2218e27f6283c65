// Clients: what a small GET costs the process that asks.
import { once, startServer } from '../child.mjs';
import { ratio } from '../goals.mjs';
import { existing, peer } from '../paths.mjs';
import { scratch } from '../scratch.mjs';

const LOAD = '64';
const YARDSTICK = 'bun-fetch';
const OURS = ['node26-client', 'bun-client'];
/** A client is JavaScript, which is compiled meanwhile. */
const WARMUP_SECONDS = 1;

/** Those of HTTP/3 ask the core without JavaScript; the others a server of the Node that runs this. */
async function target(version) {
  if (version === 'h3') return [peer(), 'core', '--port', '0'];
  return [process.execPath, existing('bench', 'peers', 'client-target.mjs'), version, await scratch()];
}

export const client = {
  name: 'client',
  title: 'Clients: a small GET',
  about:
    'One connection (undici over HTTP/1.1: 64), 64 requests under way; the program reads 11 bytes of each. CPU is that of the client. Clients of HTTP/3 ask trilane-core, the others a server of Node.',
  work: 'client',
  starts: 'itself',
  column: 'client',
  yardstick: YARDSTICK,
  peers: [...OURS, YARDSTICK, 'currentspace-client', 'undici-h1', 'undici-h2'],
  loads: [{ name: LOAD, title: '64 under way', atOnce: 64 }],
  async measure({ command, version }, { atOnce }, { seconds }) {
    const server = await startServer(await target(version), { core: 0 });
    try {
      const args = [`https://127.0.0.1:${server.port}/`, WARMUP_SECONDS, seconds, atOnce];
      const timeoutMs = (WARMUP_SECONDS + seconds + 30) * 1000;
      return JSON.parse(await once([...command, ...args.map(String)], { core: 1, timeoutMs }));
    } finally {
      await server.end();
    }
  },
  figures: [
    { key: 'cpuMicros', title: 'CPU µs/request', digits: 2, better: 'less' },
    { key: 'perSecond', title: 'req/s', digits: 0, better: 'more' },
  ],
  goals: OURS.flatMap((name) => [
    ratio('client', 'cpuMicros', [LOAD, name], [LOAD, YARDSTICK], {
      text: "CPU of the client, beside Bun's fetch over HTTP/3",
      most: 1,
    }),
    ratio('client', 'cpuMicros', [LOAD, name], [LOAD, 'undici-h2'], {
      text: "CPU of the client, beside undici's HTTP/2",
      most: 0.5,
    }),
  ]),
};
