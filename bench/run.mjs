// The benchmark: every server that can run here, each in a process of its own, under the same load.
//
//   node bench/run.mjs                     5 rounds of 3 seconds; writes bench/RESULTS.md
//   node bench/run.mjs --quick             1 round of 1 second; prints only
//   node bench/run.mjs --only canned,h3    these cases; prints only
//   --rounds N --seconds N --connections N --streams N --no-build
//
// A round runs every case once, every other round in reverse order. A case is: start the server, warm it up, read its CPU
// time, load it, read its CPU time again. Servers run on core 0, the load generator on core 1, where taskset exists.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { installPackages, setUp } from '../scripts/setup.mjs';
import { cases } from './cases.mjs';
import { endAll, once, startServer } from './child.mjs';
import { cpuSeconds, peakRssMiB, threads } from './cpu.mjs';
import { peer } from './paths.mjs';
import { document, table } from './table.mjs';

const WARMUP_SECONDS = 1;
const QUICK_WARMUP_SECONDS = 0.3;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '8' },
    streams: { type: 'string', default: '16' },
    'no-build': { type: 'boolean', default: false },
  },
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await endAll();
    process.exit(130);
  });
}

/** A whole number or fraction from the command line. */
function number(name, fallback) {
  const value = Number(options[name] ?? fallback);
  if (!(value > 0)) throw new RangeError(`--${name} is a number above 0`);
  return value;
}

/** Runs `peer load` and returns what it reports. */
async function load(port, seconds) {
  const flags = ['--connections', options.connections, '--streams', options.streams];
  const url = `https://localhost:${port}/hello/world?x=1`;
  const command = [peer(), 'load', url, '--seconds', String(seconds), '--warmup', '0', ...flags];
  return JSON.parse(await once(command, { core: 1, timeoutMs: (seconds + 20) * 1000 }));
}

/** One case, once. */
async function measure(one, seconds) {
  const server = await startServer(one.command, { core: 0 });
  try {
    await load(server.port, options.quick ? QUICK_WARMUP_SECONDS : WARMUP_SECONDS);
    const before = cpuSeconds(server.pid);
    const report = await load(server.port, seconds);
    const after = cpuSeconds(server.pid);
    if (report.requests === 0)
      throw new Error(`no request was answered: ${JSON.stringify(report.errors_by_kind)}`);
    return {
      cpuMicros: before && after ? (after.since(before) * 1e6) / report.requests : undefined,
      requestsPerSecond: report.req_per_s,
      p50: report.p50_us,
      p99: report.p99_us,
      errors: report.errors,
      rssMiB: peakRssMiB(server.pid),
      threads: threads(server.pid),
    };
  } finally {
    await server.end();
  }
}

/** Every case, every round. A case that fails once is not tried again. */
async function measureAll(selected, rounds, seconds) {
  const results = new Map(selected.map((one) => [one, { samples: [] }]));
  for (let round = 0; round < rounds; round += 1) {
    for (const one of round % 2 === 0 ? selected : selected.toReversed()) {
      const result = results.get(one);
      result.skipped ??= one.missing;
      if (result.skipped) continue;
      try {
        const sample = await measure(one, seconds);
        result.samples.push(sample);
        process.stderr.write(
          `round ${round + 1}  ${one.name}  ${Math.round(sample.requestsPerSecond)} req/s\n`,
        );
      } catch (error) {
        result.skipped = error.message;
      }
    }
  }
  return results;
}

if (!options['no-build']) {
  await setUp();
  await installPackages('__test__/runtimes', []);
}
const rounds = number('rounds', options.quick ? 1 : 5);
const seconds = number('seconds', options.quick ? 1 : 3);
const all = await cases();
const wanted = options.only?.split(',');
const unknown = wanted?.filter((name) => !all.some((one) => one.name === name)) ?? [];
if (unknown.length > 0) {
  throw new RangeError(`no case ${unknown.join(', ')}; there are ${all.map((one) => one.name).join(', ')}`);
}
const selected = wanted ? all.filter((one) => wanted.includes(one.name)) : all;
try {
  const results = await measureAll(selected, rounds, seconds);
  const run = { rounds, seconds, connections: options.connections, streams: options.streams, results };
  console.log(table(run));
  if (options.quick || wanted) console.log('\nbench/RESULTS.md is left as it is: only a full run writes it.');
  else writeFileSync(new URL('RESULTS.md', import.meta.url), document(run));
} finally {
  await endAll();
}
