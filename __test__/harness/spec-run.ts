import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { DENO_ARGS } from './runtime.js';
import { DONE, type SpecReport } from './spec-report.js';

/** Time for all specs of a file, in milliseconds. */
export const FILE_MS = process.env['H3_STRESS'] === '1' ? 1_800_000 : 120_000;
/** Time from the last line to the end of the process, in milliseconds: nothing may keep it alive. */
const EXIT_MS = 10_000;

/** A runtime as `runtimes/locate.mjs` finds it. */
export type Located =
  | { readonly command: string; readonly args: readonly string[]; readonly version: string }
  | { readonly missing: string };

interface Locator {
  readonly RUNTIME_NAMES: readonly string[];
  locate(name: string): Located;
}

const locator = (await import(new URL('../runtimes/locate.mjs', import.meta.url).href)) as Locator;

/** Every runtime that specs run on, in the order in which reports list them. */
export const { RUNTIME_NAMES } = locator;

requireFreshBundle();

/** Specs load what the package ships: without this, a change that was compiled and not bundled would pass untested. */
function requireFreshBundle(): void {
  const root = new URL('../../', import.meta.url);
  const changed = (path: string): number =>
    statSync(new URL(path, root), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(new URL('lib/', root), { recursive: true })
    .map((path) => `lib/${String(path).replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
  const bundled = changed('dist/index.js');
  const newer = ['index.ts', ...sources].find((path) => changed(path) > bundled);
  if (newer !== undefined) throw new Error(`dist/ is older than ${newer}: npm run build:bundle`);
}

/** Finds the runtime `name`, with the command line that specs need on Deno. */
export function locate(name: string): Located {
  const found = locator.locate(name);
  return 'command' in found && name === 'deno' ? { ...found, args: DENO_ARGS } : found;
}

/** What became of a spec file. */
export interface FileReport {
  readonly specs: readonly SpecReport[];
  /** What was wrong with the process as a whole: a crash, a hang, an exit code that does not fit. */
  readonly faults: readonly string[];
}

/** Runs the specs of `file` on a runtime, in a process of its own. */
export async function runSpecFile(
  runtime: Exclude<Located, { missing: string }>,
  file: string,
): Promise<FileReport> {
  const script = fileURLToPath(new URL('run-specs.js', import.meta.url));
  const child = spawn(runtime.command, [...runtime.args, script, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1' },
  });
  const specs: SpecReport[] = [];
  const faults: string[] = [];
  const noise: string[] = [];
  let unread = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (unread + text).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('{"file":')) specs.push(JSON.parse(line) as SpecReport);
      else if (line === DONE)
        ending = setTimeout(() => kill(`still alive ${EXIT_MS} ms after its specs`), EXIT_MS);
      else noise.push(line);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => noise.push(text));
  const kill = (why: string): void => {
    faults.push(why);
    child.kill('SIGKILL');
  };
  let ending: NodeJS.Timeout | undefined;
  const overall = setTimeout(() => kill(`not done within ${FILE_MS} ms`), FILE_MS);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...end) => resolve(end));
  });
  clearTimeout(overall);
  clearTimeout(ending);
  const failed = specs.some((spec) => !spec.ok);
  if (signal !== null) faults.push(`ended by ${signal}`);
  else if (code !== (failed ? 1 : 0)) faults.push(`ended with exit code ${code}`);
  if (specs.length === 0) faults.push('ran no spec');
  if (noise.length > 0 && (failed || faults.length > 0)) faults.push(`printed:\n${noise.join('\n')}`);
  return { specs, faults };
}
