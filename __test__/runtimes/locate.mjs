// Finds the JavaScript runtimes that the tests and benchmarks start.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = fileURLToPath(new URL('node_modules', import.meta.url));
const EXE = process.platform === 'win32' ? '.exe' : '';
const VERSION_TIMEOUT_MS = 30_000;

/** Arguments before the script: Deno refuses network, file and native access that is not granted. */
const DENO_ARGS = [
  'run',
  '--quiet',
  '--no-prompt',
  '--allow-net',
  '--allow-ffi',
  '--allow-read',
  '--allow-env',
];

/** Every name that `locate` knows, in the order in which reports list them. */
export const RUNTIME_NAMES = ['node20', 'node22', 'node24', 'node26', 'bun', 'deno'];

const located = new Map();

/**
 * Finds the runtime `name` (one of RUNTIME_NAMES, or "node" for the process that asks).
 *
 * The package installed here comes first; then, for Node, the asking process if it has that major
 * version; then the PATH. `TRILANE_RUNTIMES=system` leaves the installed packages out.
 *
 * @param {string} name
 * @returns {{ command: string, args: string[], version: string } | { missing: string }} what to spawn (`args`
 *   go before the script) and the version without a prefix, or why the runtime is not to be had
 */
export function locate(name) {
  let found = located.get(name);
  if (found === undefined) {
    found = find(name);
    located.set(name, found);
  }
  return found;
}

function find(name) {
  if (name !== 'node' && !RUNTIME_NAMES.includes(name)) {
    throw new TypeError(`unknown runtime "${name}"; known are node, ${RUNTIME_NAMES.join(', ')}`);
  }
  const failures = [];
  for (const command of candidates(name)) {
    const version = versionOf(command);
    if (version === undefined) {
      failures.push(`${command} does not run`);
    } else if (isWanted(name, version)) {
      return { command, args: name === 'deno' ? [...DENO_ARGS] : [], version };
    }
  }
  const reason = failures.length > 0 ? failures.join('; ') : 'neither in __test__/runtimes nor on the PATH';
  return { missing: `${name}: ${reason} (npm ci --prefix __test__/runtimes installs it on linux-x64)` };
}

function candidates(name) {
  if (name === 'node') {
    return [process.execPath];
  }
  const installed = process.env.TRILANE_RUNTIMES === 'system' ? [] : installedCandidates(name);
  const own = name.startsWith('node') && isNodeProcess() ? [process.execPath] : [];
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, (name.startsWith('node') ? 'node' : name) + EXE));
  return [...new Set([...installed, ...own, ...onPath])].filter((path) => existsSync(path));
}

function installedCandidates(name) {
  if (name === 'bun') {
    // The install script moves the binary to bun/bin; where scripts are refused it stays in @oven/bun-*.
    return [
      join(PACKAGES, 'bun', 'bin', 'bun.exe'),
      ...platformBinaries('@oven', 'bun-', join('bin', `bun${EXE}`)),
    ];
  }
  if (name === 'deno') {
    return [join(PACKAGES, 'deno', `deno${EXE}`), ...platformBinaries('@deno', '', `deno${EXE}`)];
  }
  return [join(PACKAGES, name, 'bin', 'node')];
}

function platformBinaries(scope, prefix, binary) {
  const folder = join(PACKAGES, scope);
  if (!existsSync(folder)) {
    return [];
  }
  return readdirSync(folder)
    .filter((entry) => entry.startsWith(prefix))
    .map((entry) => join(folder, entry, binary));
}

/** The version that `command --version` prints, or undefined if it does not run. */
function versionOf(command) {
  const result = spawnSync(command, ['--version'], { encoding: 'utf8', timeout: VERSION_TIMEOUT_MS });
  return result.status === 0 ? /\d+\.\d+\.\d+\S*/.exec(result.stdout)?.[0] : undefined;
}

function isWanted(name, version) {
  const major = /^node(\d+)$/.exec(name)?.[1];
  return major === undefined || version.startsWith(`${major}.`);
}

function isNodeProcess() {
  return process.versions.bun === undefined && process.versions.deno === undefined;
}

/** `node __test__/runtimes/locate.mjs` lists what is there. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of ['node', ...RUNTIME_NAMES]) {
    const runtime = locate(name);
    console.log(
      name.padEnd(8),
      'missing' in runtime ? `missing: ${runtime.missing}` : `${runtime.version}  ${runtime.command}`,
    );
  }
}
