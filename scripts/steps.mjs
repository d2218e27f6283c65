// Runs the commands of a script one after the other and says how long each took.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The folder of the repository, without a trailing slash. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');

const finished = [];

/** A command that did not end with 0, or a condition that a person has to mend; its message is all they need. */
export class StepError extends Error {
  name = 'StepError';

  /** @param {string} message @param {number} exitCode what the script that stops here exits with */
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Announces `title`, waits for `action`, and prints and keeps the time it took. */
export async function step(title, action) {
  console.log(`\n=== ${title}`);
  const started = performance.now();
  try {
    return await action();
  } finally {
    const seconds = (performance.now() - started) / 1000;
    finished.push({ title, seconds });
    console.log(`=== ${title}: ${seconds.toFixed(1)} s`);
  }
}

/** Prints the time of every step so far, if there was any. */
export function printTimings() {
  if (finished.length === 0) {
    return;
  }
  console.log('\nTimings');
  for (const { title, seconds } of finished) {
    console.log(`${seconds.toFixed(1).padStart(8)} s  ${title}`);
  }
}

/**
 * Runs a command in the repository with the terminal's own streams and waits until it ends.
 * Rejects with StepError if it cannot be started or does not exit with 0.
 */
export async function run(command, args, { env = {} } = {}) {
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  let interruptedBy;
  // A terminal sends Ctrl-C to the child as well; a supervisor signals this process alone. Either way the child is
  // waited for, and nothing is started after it.
  const interrupt = (signal) => {
    interruptedBy = signal;
    child.kill(signal);
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const [code, signal] = await ended(child, command, args).finally(() => {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  });
  if (interruptedBy !== undefined) {
    throw new StepError(`stopped by ${interruptedBy}`, 128 + constants.signals[interruptedBy]);
  }
  if (code !== 0) {
    throw new StepError(`${shown(command, args)} ended with ${signal ?? `exit code ${code}`}`, code ?? 1);
  }
}

/** Waits for the end of `child`: its code and signal, or a StepError if it could not be started. */
async function ended(child, command, args, event = 'exit') {
  try {
    return await once(child, event);
  } catch (error) {
    throw new StepError(`cannot start ${shown(command, args)}: ${error.message}`);
  }
}

/**
 * Runs a command without a terminal and resolves with what it printed to its output.
 * Rejects with StepError, and all that it printed, if it cannot be started, does not exit with 0 or takes too long.
 */
export async function runQuietly(command, args, { cwd = ROOT, env = process.env, timeoutMs = 120_000 } = {}) {
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let output = '';
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  const [code, signal] = await ended(child, command, args, 'close');
  if (code !== 0) {
    throw new StepError(`${shown(command, args)} ended with ${signal ?? `exit code ${code}`}:\n${printed}`);
  }
  return output;
}

/** Runs npm, the one that started this script if there is one. */
export function npm(args, options) {
  const [command, ...before] = npmCommand();
  return run(command, [...before, ...args], options);
}

/** The same without a terminal; see {@link runQuietly}. */
export function npmQuietly(args, options) {
  const [command, ...before] = npmCommand();
  return runQuietly(command, [...before, ...args], options);
}

/** The command line of npm up to its arguments. */
function npmCommand() {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith('npm-cli.js')) {
    return [process.execPath, cli];
  }
  // Windows starts .cmd files only through its shell; every argument here is ours and free of blanks.
  return process.platform === 'win32' ? ['cmd.exe', '/c', 'npm'] : ['npm'];
}

/** Runs the `main` of a script; a StepError ends the process with its message and exit code. */
export async function runScript(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StepError)) {
      throw error;
    }
    console.error(`\n${error.message}`);
    process.exitCode = error.exitCode;
  }
}

function shown(command, args) {
  return [command, ...args].join(' ');
}
