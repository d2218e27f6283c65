import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { checkServer } from './client-checks.js';

/** A program that serves HTTP/3, prints its URL, and stops gracefully when a line comes on its standard input. */
export interface ForeignServer {
  readonly command: readonly string[];
  /** Names of checks that it cannot pass, and why. */
  readonly skipped?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

const START_MS = 20_000;
const END_MS = 15_000;

/** Starts a server, runs every check of `client-checks.ts` against it, printing a line for each, and ends it. */
export async function checkForeignServer(
  { command: [program = '', ...args], skipped = {}, env = {} }: ForeignServer,
  print: (line: string) => unknown,
): Promise<void> {
  const child = spawn(program, args, { stdio: 'pipe', env: { ...process.env, ...env } });
  const ended = once(child, 'exit');
  child.stdin.on('error', () => undefined);
  child.stderr.resume();
  try {
    const url = await firstLine(child);
    await checkServer(url, () => child.stdin.write('stop\n'), print, skipped);
  } finally {
    child.stdin.end();
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
    await ended;
    clearTimeout(late);
  }
}

async function firstLine(child: ChildProcessWithoutNullStreams): Promise<string> {
  const silent = setTimeout(() => child.kill('SIGKILL'), START_MS);
  let text = '';
  try {
    for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
      text += chunk;
      if (text.includes('\n')) return text.slice(0, text.indexOf('\n'));
    }
  } finally {
    clearTimeout(silent);
  }
  throw new Error(`the server did not say where it is within ${START_MS} ms: ${text}`);
}
