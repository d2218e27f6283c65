// The benchmark of datagrams and WebTransport streams: servers that send everything back, under the same load.
//
//   node bench/echo.mjs                       5 rounds of 3 seconds; writes bench/ECHO.md
//   node bench/echo.mjs --quick               1 round of 1 second; prints only
//   node bench/echo.mjs --only core,bun       these servers; prints only
//   --rounds N --seconds N --connections N --window N --no-build
//
// A row is one server and one load: datagrams of 64 and 1,200 bytes of each layer, a window of them under way on each
// connection; or four streams on each connection, written as fast as they are taken. Servers run on core 0, the load generator
// on core 1, where taskset exists.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { installPackages, setUp } from '../scripts/setup.mjs';
import { endAll, once, pinned, startServer } from './child.mjs';
import { cpuSeconds } from './cpu.mjs';
import { echoCases } from './echo-cases.mjs';
import { machine, versions } from './machine.mjs';
import { peer, withoutPaths } from './paths.mjs';
import { markdown } from './table.mjs';

const LOADS = [
  ...['raw', 'http', 'webtransport'].flatMap((kind) => [64, 1200].map((size) => ({ kind, size }))),
  { kind: 'streams', size: 64 },
];
const HEAD = [
  'server',
  'load',
  'bytes',
  'echoes/s',
  'MB/s',
  'lost',
  'CPU µs/echo',
  'CPU ms/MB',
  'p50 µs',
  'p99 µs',
];
const WARMUP_SECONDS = 0.5;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '4' },
    window: { type: 'string', default: '64' },
    'no-build': { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
const seconds = Number(options.seconds ?? (options.quick ? 1 : 3));
if (!(rounds > 0) || !(seconds > 0)) throw new RangeError('--rounds and --seconds are numbers above 0');

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await endAll();
    process.exit(130);
  });
}

async function echo(port, { kind, size }, duration) {
  const flags = ['--size', size, '--seconds', duration, '--connections', options.connections];
  const command = [peer(), 'echo', kind, `https://localhost:${port}/`, ...flags, '--window', options.window];
  return JSON.parse(await once(command.map(String), { core: 1, timeoutMs: (duration + 30) * 1000 }));
}

/** One server under one load. */
async function measure(one, load) {
  const server = await startServer(one.command, { core: 0 });
  try {
    await echo(server.port, load, WARMUP_SECONDS);
    const before = cpuSeconds(server.pid);
    const report = await echo(server.port, load, seconds);
    const cpu = before && cpuSeconds(server.pid).since(before);
    if (report.received === 0) throw new Error(report.failure ?? 'nothing came back');
    const isStream = load.kind === 'streams';
    return {
      perSecond: isStream ? undefined : report.per_s,
      megabytes: report.mb_per_s,
      lost: isStream ? undefined : (100 * report.lost) / report.sent,
      micros: isStream ? undefined : cpu && (cpu * 1e6) / report.received,
      millisPerMegabyte: cpu && (cpu * 1e9) / report.bytes_received,
      p50: isStream ? undefined : report.p50_us,
      p99: isStream ? undefined : report.p99_us,
    };
  } finally {
    await server.end();
  }
}

/** Median, with the smallest and the largest in parentheses if there are several. */
function spread(samples, key, digits) {
  const values = samples.map((sample) => sample[key]).filter((value) => value !== undefined);
  if (values.length === 0) return '–';
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  const text = (value) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const range = `(${text(sorted[0])}–${text(sorted.at(-1))})`;
  return values.length === 1 ? text(middle) : `${text(middle)} ${range}`;
}

function row({ one, load, samples }) {
  return [
    `${one.title} [${one.name}]`,
    load.kind,
    load.kind === 'streams' ? '–' : String(load.size),
    spread(samples, 'perSecond', 0),
    spread(samples, 'megabytes', 1),
    spread(samples, 'lost', 2).replace(/^(\d.*)$/, '$1 %'),
    spread(samples, 'micros', 2),
    spread(samples, 'millisPerMegabyte', 2),
    spread(samples, 'p50', 0),
    spread(samples, 'p99', 0),
  ];
}

function table(runs, skipped) {
  const rows = runs.filter(({ samples }) => samples.length > 0).map(row);
  const reasons = [...skipped].map(([name, reason]) => `- ${name}: ${withoutPaths(reason)}`);
  return [markdown([HEAD, ...rows]), ...(reasons.length > 0 ? ['', 'Skipped:', '', ...reasons] : [])].join(
    '\n',
  );
}

function document(text) {
  const cores = pinned ? 'servers on core 0, the load generator on core 1' : 'not pinned';
  return `# Echo of datagrams and WebTransport streams

Written by \`node bench/echo.mjs\`: medians of ${rounds} rounds of ${seconds} s (smallest–largest).

${text}

- load: ${options.connections} connections, ${options.window} datagrams under way on each, or 4 streams on each; \`raw\` on QUIC alone, \`http\` of one request, \`webtransport\` of one session
- lost: datagrams that 64 later ones have overtaken, or that were out for 200 ms
- CPU: of the server's process, all its threads
- cores: ${cores}
- machine: ${machine()}
- versions: ${versions()}
- date: ${new Date().toISOString().slice(0, 10)}
`;
}

if (!options['no-build']) {
  await setUp();
  await installPackages('__test__/runtimes', []);
}
const all = await echoCases();
const wanted = options.only?.split(',');
const selected = wanted === undefined ? all : all.filter(({ name }) => wanted.includes(name));
const skipped = new Map(
  selected.filter(({ missing }) => missing).map(({ name, missing }) => [name, missing]),
);
const runs = LOADS.flatMap((load) =>
  selected
    .filter(({ missing, kinds }) => !missing && kinds.includes(load.kind))
    .map((one) => ({ one, load, samples: [] })),
);
try {
  for (let round = 0; round < rounds; round += 1) {
    for (const run of round % 2 === 0 ? runs : runs.toReversed()) {
      const name = `${run.one.name} ${run.load.kind} ${run.load.size}`;
      if (skipped.has(name)) continue;
      try {
        run.samples.push(await measure(run.one, run.load));
        process.stderr.write(`round ${round + 1}  ${name}\n`);
      } catch (error) {
        skipped.set(name, error.message);
      }
    }
  }
  const text = table(runs, skipped);
  console.log(text);
  if (options.quick || wanted) console.log('\nbench/ECHO.md is left as it is: only a full run writes it.');
  else writeFileSync(new URL('ECHO.md', import.meta.url), document(text));
} finally {
  await endAll();
}
