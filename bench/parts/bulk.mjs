// Large bodies, one at a time over one connection.
import { ratio } from '../goals.mjs';
import { generate, generateAgainst } from '../load.mjs';
import { YARDSTICK } from '../peers.mjs';

const WARMUP_BYTES = 20_000_000;
const OURS = ['node26-lazy', 'bun-lazy', 'deno-lazy'];
const LOADS = [
  { name: 'generator', title: 'download from a generator of 64 KiB pieces', way: 'download' },
  { name: 'buffer', title: 'download of one buffer', way: 'download' },
  { name: 'file', title: 'download of a file', way: 'download' },
  { name: 'upload', title: 'upload into a handler that counts', way: 'upload' },
];
/** Bare quinn has no file and no buffer of its own. */
const OF_QUINN = ['generator', 'upload'];

function transfer(server, { name, way }, bytes) {
  const url = `https://localhost:${server.port}/${name}`;
  return ['bulk', way, url, '--bytes', bytes];
}

function goals(peer) {
  const relative = (load, other, text, bound) =>
    ratio('bulk', 'rate', [load, peer], [load, other], { text: `MB/s, ${load}, ${text}`, ...bound });
  return LOADS.flatMap(({ name }) => [
    relative(name, 'core', 'beside the core', { least: name === 'file' ? 0.95 : 0.85 }),
    relative(name, YARDSTICK, "beside Bun's own", { least: 1 }),
    relative(name, 'quic-go', 'beside quic-go', { least: 1 }),
  ]);
}

export const bulk = {
  name: 'bulk',
  title: 'Large bodies',
  about:
    'One body of the given size over one connection; the load generator counts content, and an upload is answered with its length.',
  work: 'bulk',
  rounds: 3,
  peers: ['quinn', 'core', ...OURS, YARDSTICK, 'quic-go'],
  loads: LOADS,
  takes: (load, peer) => peer.name !== 'quinn' || OF_QUINN.includes(load.name),
  async measure(server, load, { bytes }) {
    const timeoutMs = 120_000;
    // A file has the length it has.
    const warmup = load.name === 'file' ? bytes : Math.min(bytes, WARMUP_BYTES);
    if (load.name !== 'file') await generate(transfer(server, load, warmup), { timeoutMs });
    const report = await generateAgainst(server, transfer(server, load, bytes), { timeoutMs });
    return { rate: report.mb_per_s, cpuNanos: report.cpu && (report.cpu * 1e9) / bytes };
  },
  figures: [
    { key: 'rate', title: 'MB/s', digits: 0, better: 'more' },
    { key: 'cpuNanos', title: 'CPU ns/byte', digits: 2, better: 'less' },
  ],
  goals: [
    ...OF_QUINN.map((load) =>
      ratio('bulk', 'rate', [load, 'core'], [load, 'quinn'], {
        text: `MB/s, ${load}, beside bare quinn`,
        least: 0.95,
      }),
    ),
    ...OURS.flatMap(goals),
  ],
};
