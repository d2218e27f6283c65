// Mutated conversations and packets against a live server, and the judgement: served, alive, tidy.
import { setTimeout as pause } from 'node:timers/promises';

import { locate } from '../../__test__/runtimes/locate.mjs';
import { once } from '../../bench/child.mjs';
import { rssMiB } from '../../bench/cpu.mjs';
import { existing, peer } from '../../bench/paths.mjs';
import { watchRss } from '../../bench/rss-watch.mjs';
import { LiveServer } from './live-server.mjs';

const MOST_GROWTH_MIB = 64;
const MOST_LEFT_MIB = 16;
const REST_MS = 5000;
/** Within this the server has forgotten everybody: its idle timeout is 3 s. */
const FORGOTTEN_MS = 10_000;
/** For each mode. */
const WARMUP_SECONDS = 5;
const GRACE_MS = 60_000;

/** Arguments with which a runtime lets a program ask for a garbage collection. */
const EXPOSE_GC = { node: ['--expose-gc'], deno: ['--v8-flags=--expose-gc'], bun: [] };

/**
 * Runs every mode after the other against one server.
 *
 * @param {{ runtime: string, seed: number, seconds: number, modes: string[], only?: string }} plan
 * @returns {Promise<{ report: object, broken: string[] }>} figures, and what is broken in words
 */
export async function fuzzLive({ runtime, seed, seconds, modes, only }) {
  const found = locate(runtime);
  if (found.missing) throw new Error(found.missing);
  const expose = EXPOSE_GC[runtime.replace(/\d+$/, '')];
  const program = existing('scripts', 'fuzz', 'target.mjs');
  const server = new LiveServer([found.command, ...found.args, ...expose, program]);
  try {
    const url = `https://localhost:${await server.port()}/hello`;
    return await attack(server, url, { seed, seconds, modes, only });
  } finally {
    server.kill();
  }
}

async function attack(server, url, { seed, seconds, modes, only }) {
  const runs = [];
  const run = async (mode, how) => {
    // After a failure or a crash the first one is what matters.
    if (runs.every(({ failure }) => failure === null) && server.alive) {
      runs.push(await runPeer(url, { mode, ...how }));
    }
  };
  // What a runtime allocates once it is busy is not the attack's.
  for (const mode of only === undefined ? modes : []) {
    await run(mode, { seed: seed + 1, seconds: WARMUP_SECONDS });
  }
  const before = await memory(server);
  const watch = watchRss(server.pid);
  for (const mode of modes) await run(mode, { seed, seconds: seconds / modes.length, only });
  const peak = watch.stop();
  const left = await leftovers(server);
  const after = await memory(server);
  const ended = await server.end();
  const broken = [
    ...runs.filter(({ failure }) => failure !== null).map(describe),
    ...(left ? [left] : []),
    ...(ended ? [ended] : []),
    ...(server.panic ? [`a panic: ${server.panic}`] : []),
    ...grown(before, peak, after),
  ];
  return { report: { seed, runs, rssMiB: { before, peak, after } }, broken };
}

async function runPeer(url, { mode, seed, seconds, only }) {
  const flags = ['--mode', mode, '--seed', String(seed), '--seconds', String(seconds)];
  if (only !== undefined) flags.push('--only', only, '--batch', '1');
  const timeoutMs = seconds * 1000 + GRACE_MS;
  return JSON.parse(await once([peer(), 'fuzz', url, ...flags], { timeoutMs }));
}

/** Waits until nothing is open any more; what still is, in words, if that does not come. */
async function leftovers(server) {
  const deadline = performance.now() + FORGOTTEN_MS;
  while (server.alive) {
    const { connectionsActive, requestsActive } = await server.stats();
    if (connectionsActive === 0 && requestsActive === 0) return undefined;
    if (performance.now() > deadline) {
      return `left open: ${connectionsActive} connections, ${requestsActive} requests`;
    }
    await pause(200);
  }
}

/** MiB after a rest and a garbage collection; undefined where it cannot be read, or of a server that is gone. */
async function memory(server) {
  if (!server.alive) return undefined;
  await pause(REST_MS);
  await server.stats();
  return rssMiB(server.pid);
}

function describe({ fuzz, seed, failure }) {
  const { first, last, error } = failure;
  const numbers = first === last ? `${first}` : `${first}..${last}`;
  return `${error.kind} ${error.reason}: repeat with --mode ${fuzz} --seed ${seed} --only ${numbers}`;
}

function grown(before, peak, after) {
  if (before === undefined || after === undefined) return [];
  return [
    ...(peak - before > MOST_GROWTH_MIB ? [`RSS grew by ${Math.round(peak - before)} MiB`] : []),
    ...(after - before > MOST_LEFT_MIB ? [`RSS stayed ${Math.round(after - before)} MiB up`] : []),
  ];
}
