// Child processes, each ended by its own id whatever happens.
import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';

import { withoutPaths } from './paths.mjs';

const READY_WITHIN_MS = 15_000;
const END_WITHIN_MS = 5_000;

const running = new Set();

/** Whether servers and load generator get a core each. */
export const pinned =
  availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' }).status === 0;

/** What gives way to every other process that wants the same core, where `nice` exists. */
const GIVING_WAY =
  spawnSync('nice', ['-n', '19', 'true'], { stdio: 'ignore' }).status === 0 ? ['nice', '-n', '19'] : [];

/** What to put before a command so that it runs on one core, where that can be asked for. */
export function onCore(core) {
  return pinned && core !== undefined ? ['taskset', '-c', String(core)] : [];
}

function start(command, { core, priority }) {
  const prefix = [...onCore(core), ...(priority === 'low' ? GIVING_WAY : [])];
  const [program, ...args] = [...prefix, ...command];
  // An open standard input is how the reference servers know that somebody still wants them.
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  running.add(child);
  child.stderr.setEncoding('utf8');
  child.complaint = '';
  child.stderr.on('data', (text) => {
    child.complaint = (child.complaint + text).slice(-4096);
  });
  child.stdin.on('error', () => {});
  child.ended = new Promise((resolve) => {
    child.once('error', (error) => {
      child.complaint ||= error.message;
      resolve(undefined);
    });
    child.once('exit', resolve);
  }).finally(() => running.delete(child));
  return child;
}

/** The promise, or an error after so many milliseconds. */
function within(promise, milliseconds, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function end(child) {
  if (!running.has(child)) return;
  child.kill('SIGTERM');
  try {
    await within(child.ended, END_WITHIN_MS, 'ending a server');
  } catch {
    child.kill('SIGKILL');
    await child.ended;
  }
}

/** Ends every child that still runs. */
export async function endAll() {
  await Promise.all([...running].map(end));
}

/**
 * Starts a process that goes on, a server above all, and waits until it has printed what it has to report: its port. `end()`
 * returns when it is gone, `farewell()` also what it printed last.
 */
export async function startServer(command, { core, readyWithinMs = READY_WITHIN_MS }) {
  const child = start(command, { core });
  const lines = createInterface({ input: child.stdout });
  const closed = new Promise((resolve) => lines.once('close', resolve));
  let last;
  const ready = new Promise((resolve, reject) => {
    lines.once('line', resolve);
    lines.on('line', (line) => {
      last = line;
    });
    child.ended.then((code) => reject(new Error(`the server ended with ${code}: ${reason(child)}`)));
  });
  try {
    const report = JSON.parse(await within(ready, readyWithinMs, 'starting the server'));
    const farewell = async () => {
      await end(child);
      await closed;
      return JSON.parse(last);
    };
    return { pid: child.pid, port: report.port, report, end: () => end(child), farewell };
  } catch (error) {
    await end(child);
    throw error;
  }
}

/**
 * Runs a program to its end and returns what it printed; `onOutput` is called when that grows. With priority "low" it runs
 * only when nothing else wants its core.
 */
export async function once(command, { core, timeoutMs, priority = 'normal', onOutput }) {
  const child = start(command, { core, priority });
  let output = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text) => {
    output += text;
    onOutput?.();
  });
  const closed = new Promise((resolve) => child.stdout.once('close', resolve));
  try {
    const code = await within(child.ended, timeoutMs, 'a run');
    await closed;
    if (code !== 0) throw new Error(`a run ended with ${code}: ${reason(child)}`);
    return output;
  } finally {
    await end(child);
  }
}

/** The line of a complaint that says most, without the directories of this machine. */
function reason(child) {
  const lines = child.complaint.split('\n').map((line) => line.trim());
  return withoutPaths(lines.find((line) => /error|peer:/i.test(line)) ?? lines.find(Boolean) ?? 'no message');
}
