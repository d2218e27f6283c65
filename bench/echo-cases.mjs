// What the echo benchmark compares: who sends back what.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { locate } from '../__test__/runtimes/locate.mjs';
import { once } from './child.mjs';
import { existing, peer, repository } from './paths.mjs';

const ALL = ['raw', 'http', 'webtransport', 'streams'];
const SESSIONS = ['webtransport', 'streams'];
const GO_BUILD_MS = 300_000;

/** Name, title, what it sends back (kinds of `peer echo`), and either the command of a server or what is missing. */
export async function echoCases() {
  const certificate = await makeCertificate();
  return [
    { name: 'core', title: 'trilane-core, no JavaScript', kinds: ALL, command: [peer(), 'core-echo'] },
    ...['node26', 'bun', 'deno'].map(trilane),
    denoOwn(certificate),
    await webtransportGo(certificate),
  ];
}

function trilane(name) {
  const { command, args = [], version, missing } = locate(name);
  const built = existing('index.js') ? undefined : 'the package is not built: npm run build';
  return {
    name,
    title: `trilane on ${name} ${version ?? ''}`.trim(),
    kinds: ALL,
    missing: missing ?? built,
    command: [command, ...args, script('trilane-echo.mjs')],
  };
}

function denoOwn(certificate) {
  const { command, version, missing } = locate('deno');
  const flags = ['run', '--quiet', '--no-prompt', '--unstable-net', '--allow-net', '--allow-read'];
  return {
    name: 'deno-own',
    title: `Deno ${version ?? ''}'s own QUIC and WebTransport`,
    kinds: ['raw', ...SESSIONS],
    missing,
    command: [command, ...flags, script('deno-echo.mjs'), certificate],
  };
}

/** Built here if there is Go and its modules can be had. */
async function webtransportGo(certificate) {
  const program = join(repository, 'target', 'bench', 'webtransport-go');
  const one = {
    name: 'webtransport-go',
    title: 'webtransport-go 0.10.0, quic-go 0.59.1',
    kinds: SESSIONS,
    command: [program, certificate],
  };
  if (existsSync(program)) return one;
  try {
    mkdirSync(join(repository, 'target', 'bench'), { recursive: true });
    await once(['go', 'build', '-C', script('webtransport-go'), '-o', program, '.'], {
      timeoutMs: GO_BUILD_MS,
    });
    return one;
  } catch (error) {
    return { ...one, missing: `go build: ${error.message}` };
  }
}

async function makeCertificate() {
  const directory = mkdtempSync(join(tmpdir(), 'trilane-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await once([peer(), 'certificate', '--out', directory], { timeoutMs: 10_000 });
  return directory;
}

function script(file) {
  return join(repository, 'bench', 'servers', file);
}
