// The benchmark: every server that can run here, each in a process of its own, under the same loads.
//
//   npm run bench                          everything; writes bench/RESULTS.md, results.json and results.svg
//   npm run bench -- hello bulk            these parts; prints only
//   npm run bench -- --only core,bun-lazy  these peers; prints only
//   --rounds N (5)  --seconds N (0.5)  --bytes N (1e9, of a large body)  --idle-connections N (10000)  --churn-seconds N (10)
//   --out DIR       writes the three files there, whatever was measured
//   --no-build      with the binaries that are there
//   --list          names the parts and the peers, and what is missing
//
// A round visits every peer once, every other round in reverse order; see measurement.mjs. Servers run on core 0, the load
// generator on core 1, where taskset exists.
import { parseArgs } from 'node:util';

import { installPackages, setUp } from '../scripts/setup.mjs';
import { endAll } from './child.mjs';
import { judged } from './goals.mjs';
import { measure } from './measurement.mjs';
import { partsNamed } from './parts.mjs';
import { withoutPaths } from './paths.mjs';
import { peers as makePeers } from './peers.mjs';
import { writeReport } from './report.mjs';
import { goalTable, partTable } from './table.mjs';

const FULL = { rounds: 5, seconds: 0.5, bytes: 1e9, 'idle-connections': 10_000, 'churn-seconds': 10 };

/** Everything that runs before a measurement is the shorter of these and a part of it. */
const WARMUP_SECONDS = 0.5;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...Object.fromEntries(Object.keys(FULL).map((name) => [name, { type: 'string' }])),
    only: { type: 'string' },
    out: { type: 'string' },
    'no-build': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await endAll();
    process.exit(130);
  });
}

/** A number from the command line. */
function number(name) {
  const value = Number(options[name] ?? FULL[name]);
  if (value > 0) return value;
  throw new RangeError(`--${name} is a number above 0`);
}

const seconds = number('seconds');
const settings = {
  rounds: Math.ceil(number('rounds')),
  seconds,
  warmup: Math.min(WARMUP_SECONDS, seconds),
  bytes: Math.ceil(number('bytes')),
  idleConnections: Math.ceil(number('idle-connections')),
  churnSeconds: number('churn-seconds'),
};
const parts = partsNamed(positionals);
if (!options['no-build']) {
  await setUp();
  await installPackages('__test__/runtimes', []);
}

try {
  const peers = await makePeers(options.only?.split(','), settings);
  if (options.list) list(peers);
  else await run(peers);
} finally {
  await endAll();
}

function list(peers) {
  for (const part of parts) console.log(`${part.name.padEnd(10)} ${part.title}`);
  console.log();
  for (const { name, title, missing } of peers) {
    console.log(`${name.padEnd(16)} ${missing ? `missing: ${withoutPaths(missing)}` : title}`);
  }
}

async function run(peers) {
  const begun = performance.now();
  const rows = await measure(parts, peers, settings);
  const result = {
    rows,
    peers,
    parts,
    settings,
    goals: judged(parts, rows),
    minutes: (performance.now() - begun) / 60_000,
  };
  for (const part of parts) console.log(`\n${part.title}\n\n${partTable(part, rows)}`);
  console.log(`\nGoals\n\n${goalTable(result.goals)}`);
  const isFull = positionals.length === 0 && Object.keys(FULL).every((name) => options[name] === undefined);
  if (options.out !== undefined) writeReport(result, options.out);
  else if (isFull && options.only === undefined) writeReport(result, new URL('.', import.meta.url).pathname);
  else console.log('\nbench/RESULTS.md is left as it is: only a full run writes it.');
}
