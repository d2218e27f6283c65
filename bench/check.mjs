// `npm run bench:check`: the ratios of the goals in a short run beside those that bench/results.json keeps. One that has become
// worse by more than 15 % is measured again, longer; if it is still worse, the check fails.
//
//   npm run bench:check                     the parts below
//   npm run bench:check -- hello bulk       these parts
//   --rounds N (3)  --seconds N (0.4)  --results FILE  --no-build
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { installPackages, setUp } from '../scripts/setup.mjs';
import { endAll } from './child.mjs';
import { judged } from './goals.mjs';
import { measure } from './measurement.mjs';
import { partsNamed } from './parts.mjs';
import { existing } from './paths.mjs';
import { peers as makePeers } from './peers.mjs';
import { markdown } from './table.mjs';

const TOLERANCE = 0.15;
/** How much longer what looks worse is measured. */
const AGAIN = 2;
const BYTES = 200_000_000;
/** Those whose ratios a short run can tell; the others need quiet, memory or minutes. */
const PARTS = ['hello', 'post', 'bulk', 'echo', 'client'];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '0.4' },
    results: { type: 'string', default: existing('bench', 'results.json') },
    'no-build': { type: 'boolean', default: false },
  },
});
if (options.results === undefined)
  throw new Error('bench/results.json is not there: npm run bench writes it');
const stored = JSON.parse(readFileSync(options.results, 'utf8')).ratios;

const [rounds, seconds] = [Number(options.rounds), Number(options.seconds)];
if (!(rounds > 0) || !(seconds > 0)) throw new RangeError('--rounds and --seconds are numbers above 0');
const settings = { rounds, seconds, warmup: Math.min(0.3, seconds), bytes: BYTES };

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await endAll();
    process.exit(130);
  });
}

/** Below 1: worse than before, by so much; undefined if it was not measured, then or now. */
function change({ id, value, most }) {
  if (value === undefined || stored[id] === undefined) return undefined;
  return most === undefined ? value / stored[id] : stored[id] / value;
}

function isWorse(goal) {
  const changed = change(goal);
  return changed !== undefined && changed < 1 - TOLERANCE;
}

/** The parts with what alone is compared: no loads and no peers that no stored ratio names. */
function narrowed(parts) {
  const ids = Object.keys(stored);
  return parts.map((part) => {
    const named = (name) => ids.some((id) => id.startsWith(`${part.name}/`) && id.includes(name));
    return {
      ...part,
      loads: part.loads.filter(({ name }) => named(`/${name}/`)),
      peers: part.peers.filter((name) => named(`/${name}:`) || named(`/${name}`)),
    };
  });
}

async function ratios(parts, peers, how) {
  return judged(parts, await measure(parts, peers, how)).filter(({ isRatio }) => isRatio);
}

/** The goals with those of `again` in the place of the first ones. */
function replaced(goals, again) {
  return goals.map((goal) => again.find(({ id }) => id === goal.id) ?? goal);
}

function print(goals) {
  const line = (goal) => {
    const changed = change(goal);
    return [
      goal.id,
      stored[goal.id]?.toFixed(2) ?? '–',
      goal.value?.toFixed(2) ?? '–',
      changed === undefined
        ? 'not compared'
        : `${changed >= 1 ? '+' : ''}${((changed - 1) * 100).toFixed(0)} %`,
      isWorse(goal) ? '**worse**' : '',
    ];
  };
  console.log(markdown([['ratio', 'stored', 'now', 'better by', ''], ...goals.map(line)]));
}

if (!options['no-build']) {
  await setUp();
  await installPackages('__test__/runtimes', []);
}
try {
  const parts = narrowed(partsNamed(positionals.length > 0 ? positionals : PARTS));
  const names = [...new Set(parts.flatMap((part) => part.peers))];
  const peers = await makePeers(names, settings);
  let goals = await ratios(parts, peers, settings);
  const suspicious = new Set(goals.filter(isWorse).map((goal) => goal.part));
  if (suspicious.size > 0) {
    const longer = { ...settings, rounds: rounds + AGAIN, seconds: seconds * AGAIN };
    const again = await ratios([...suspicious], peers, longer);
    goals = replaced(goals, again);
  }
  print(goals);
  const worse = goals.filter(isWorse).length;
  const compared = goals.filter((goal) => change(goal) !== undefined).length;
  console.log(`\n${compared} ratios compared, ${worse} worse by more than ${TOLERANCE * 100} %`);
  if (worse > 0 || compared === 0) process.exitCode = 1;
} finally {
  await endAll();
}
