// libFuzzer on every parser: built with coverage counters by a stable compiler, run for a bounded time, its finds kept apart.
import { mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { ROOT, run, StepError, step } from '../steps.mjs';
import { cargoEnvironment, requireRust } from '../toolchain.mjs';

const CORPUS = join(ROOT, 'crates', 'fuzz', 'corpus');
/** What libFuzzer gathers and finds; git ignores it. */
const WORK = join(ROOT, 'target', 'fuzz');
/** Longest input, in bytes: above every limit that the targets set. */
const LONGEST = 4096;
/** Time for one input, in seconds, and memory in MiB: what takes more is a find. */
const SLOWEST_SECONDS = 5;
const MOST_MEMORY_MIB = 1024;

/** LLVM's coverage pass, as libFuzzer wants it; nothing here needs an unstable compiler. */
const COVERAGE = [
  '-Cpasses=sancov-module',
  ...['level=4', 'inline-8bit-counters', 'pc-table', 'trace-compares'].map(
    (option) => `-Cllvm-args=-sanitizer-coverage-${option}`,
  ),
  '-Cdebug-assertions',
  '-Coverflow-checks',
  '-Ccodegen-units=1',
].join(' ');

/** Few inputs that together reach every edge; how often they pass it does not count. */
const MERGE = ['-set_cover_merge=1', '-use_counters=0'];

/**
 * Runs libFuzzer on the targets for `minutes` in all. A find stops its target and fails the run at the end; its input is named.
 *
 * @param {{ minutes: number, targets?: string[], keep: boolean }} plan with `keep`, new inputs that reach more go into the corpus
 */
export async function fuzzParsers({ minutes, targets, keep }) {
  requireRust();
  const chosen = select(targets);
  const program = await build();
  const seconds = Math.max(1, Math.round((minutes * 60) / chosen.length));
  const found = [];
  for (const target of chosen) {
    try {
      await step(`${target}, ${seconds} s`, () => fuzz(program, target, seconds));
    } catch (error) {
      if (!(error instanceof StepError)) throw error;
      found.push(...findsOf(target));
    }
    if (keep) await step(`${target}: corpus`, () => merge(program, target));
  }
  if (found.length > 0) {
    throw new StepError(`found, to be kept as files of the corpus once mended:\n${found.join('\n')}`);
  }
}

function select(targets) {
  const known = readdirSync(CORPUS).sort();
  const unknown = targets?.find((target) => !known.includes(target));
  if (unknown !== undefined) {
    throw new StepError(`no target ${unknown}; there are ${known.join(', ')}.`, 2);
  }
  return targets ?? known;
}

/** In a target folder of its own: other flags would make cargo compile everything else again. */
async function build() {
  const env = { ...cargoEnvironment(), RUSTFLAGS: COVERAGE, CARGO_PROFILE_RELEASE_LTO: 'off' };
  const args = ['--package', 'trilane-fuzz', '--features', 'libfuzzer', '--bin', 'libfuzzer'];
  await step('build the targets', () =>
    run('cargo', ['build', '--release', '--locked', ...args, '--target-dir', WORK], { env }),
  );
  return join(WORK, env.CARGO_BUILD_TARGET, 'release', 'libfuzzer');
}

function fuzz(program, target, seconds) {
  const own = folder('corpus', target);
  const finds = folder('finds', target);
  return run(
    program,
    [
      own,
      join(CORPUS, target),
      `-artifact_prefix=${finds}/`,
      `-max_total_time=${seconds}`,
      `-max_len=${LONGEST}`,
      `-timeout=${SLOWEST_SECONDS}`,
      `-rss_limit_mb=${MOST_MEMORY_MIB}`,
      `-fork=${availableParallelism()}`,
      '-ignore_crashes=0',
      '-print_final_stats=1',
    ],
    { env: { TRILANE_FUZZ_TARGET: target } },
  );
}

/** Takes into the corpus what reaches more than the corpus does. */
async function merge(program, target) {
  const env = { TRILANE_FUZZ_TARGET: target };
  await run(program, [...MERGE, `-max_len=${LONGEST}`, join(CORPUS, target), folder('corpus', target)], {
    env,
  });
}

function folder(kind, target) {
  const path = join(WORK, kind, target);
  mkdirSync(path, { recursive: true });
  return path;
}

function findsOf(target) {
  return readdirSync(folder('finds', target)).map((name) => join('target', 'fuzz', 'finds', target, name));
}
