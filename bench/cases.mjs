// What is compared.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { locate } from '../__test__/runtimes/locate.mjs';
import { once } from './child.mjs';
import { existing, peer, repository } from './paths.mjs';

/** The case that the others are compared with. */
export const YARDSTICK = 'bun-http3';

/**
 * All cases in order: name, title, TLS provider, and either the command of a server that prints {"port":N}, or what is missing.
 */
export async function cases() {
  return [
    reference('canned', 'quinn, canned reply'),
    reference('h3', 'quinn + h3'),
    reference('core', 'trilane-core, no JavaScript'),
    ...['node20', 'node26', 'bun', 'deno'].flatMap(trilane),
    await bunHttp3(),
  ];
}

function reference(name, title) {
  return { name, title, tls: 'rustls + ring', command: [peer(), name] };
}

/** Whose Request and whose Response. */
const KINDS = [
  { kind: 'own', title: "the runtime's Request and Response", request: 'own', response: 'own' },
  { kind: 'response', title: "lazy Request, the runtime's Response", request: 'lazy', response: 'own' },
  { kind: 'lazy', title: 'lazy Request and Response', request: 'lazy', response: 'lazy' },
];

function trilane(name) {
  const found = locate(name);
  const missing =
    found.missing ?? (existing('index.js') ? undefined : 'the package is not built: npm run build');
  return KINDS.map(({ kind, title, request, response }) => ({
    name: `${name}-${kind}`,
    title: `trilane on ${label(name, found)}, ${title}`,
    tls: 'rustls + ring',
    missing,
    command: [
      found.command,
      ...(found.args ?? []),
      serverScript('trilane.mjs'),
      ...['--request', request, '--response', response],
    ],
  }));
}

/** `node26 26.10.0` says it twice; `Node 26.10.0` once. */
function label(name, { version = '' }) {
  return `${name[0].toUpperCase()}${name.slice(1).replace(/\d+$/, '')} ${version}`.trim();
}

function serverScript(file) {
  return join(repository, 'bench', 'servers', file);
}

async function bunHttp3() {
  const found = locate('bun');
  const one = {
    name: YARDSTICK,
    title: `${label('bun', found)}'s own http3`,
    tls: 'BoringSSL',
    missing: found.missing,
  };
  if (one.missing) return one;
  const directory = mkdtempSync(join(tmpdir(), 'trilane-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await once([peer(), 'certificate', '--out', directory], { timeoutMs: 10_000 });
  return { ...one, command: [found.command, serverScript('bun-own.ts'), directory] };
}
