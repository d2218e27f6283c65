#!/usr/bin/env node
// `npm run fuzz`: hostile bytes from a seed, against a live server or against the parsers alone.
//
//   npm run fuzz                                    a live server on this Node for 60 s, with a seed of the clock
//   npm run fuzz -- --seconds 600 --seed 7
//   npm run fuzz -- --runtime bun                   node20, node22, node24, node26, bun or deno
//   npm run fuzz -- --mode streams                  or packets; both by default, half of the time each
//   npm run fuzz -- --mode streams --seed 7 --only 1234     one conversation again (or 1200..1231)
//   npm run fuzz -- --parsers --minutes 10          libFuzzer on every parser, the time shared among them
//   npm run fuzz -- --parsers --targets request,section --keep     and what is new goes into the corpus
//   --no-build                                      with the binding and the peer that are there
import { parseArgs } from 'node:util';

import { endAll } from '../bench/child.mjs';
import { fuzzLive } from './fuzz/live.mjs';
import { fuzzParsers } from './fuzz/parsers.mjs';
import { installPackages, setUp } from './setup.mjs';
import { runScript, StepError } from './steps.mjs';

const MODES = ['streams', 'packets'];

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    runtime: { type: 'string', default: 'node' },
    mode: { type: 'string' },
    only: { type: 'string' },
    parsers: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '5' },
    targets: { type: 'string' },
    keep: { type: 'boolean', default: false },
    'no-build': { type: 'boolean', default: false },
  },
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await endAll();
    process.exit(130);
  });
}

await runScript(() => (options.parsers ? parsers() : live()));

async function parsers() {
  const minutes = positive('--minutes', options.minutes);
  await fuzzParsers({ minutes, targets: options.targets?.split(','), keep: options.keep });
}

async function live() {
  if (options.mode !== undefined && !MODES.includes(options.mode)) {
    throw new StepError(`--mode takes ${MODES.join(' or ')}, not "${options.mode}".`, 2);
  }
  const seconds = positive('--seconds', options.seconds);
  const seed = options.seed === undefined ? Math.trunc(Date.now() / 1000) : positive('--seed', options.seed);
  if (!options['no-build']) {
    await setUp();
    if (options.runtime !== 'node') await installPackages('__test__/runtimes', []);
  }
  console.log(`seed ${seed}, ${seconds} s, ${options.runtime}`);
  const modes = options.mode === undefined ? MODES : [options.mode];
  const plan = { runtime: options.runtime, seed, seconds, modes, only: options.only };
  const { report, broken } = await fuzzLive(plan);
  console.log(JSON.stringify(report, null, 2));
  if (broken.length > 0) throw new StepError(broken.join('\n'));
}

function positive(name, text) {
  const number = Number(text);
  if (Number.isFinite(number) && number >= 0) return number;
  throw new StepError(`${name} takes a number, not "${text}".`, 2);
}
