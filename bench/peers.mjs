// Who is measured. A peer is a server: its name, a title for people, its TLS provider, and for each work that it can do the
// command of a process that prints {"port":N}; or `missing`, the reason why it cannot be had here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { locate } from '../__test__/runtimes/locate.mjs';
import { goInstalled, goProgram, goVersion } from './go-program.mjs';
import { existing, peer, repository } from './paths.mjs';
import { fileOf, scratch } from './scratch.mjs';

/** The peer that the others are compared with. */
export const YARDSTICK = 'bun-http3';

const RUSTLS = 'rustls + ring';
const RUNTIMES = ['node20', 'node26', 'bun', 'deno'];
const MANY = '20000';
const CADDY = 'v2.11.9';

/**
 * Makes those of `names` that are known, or all. What has to be built is built here.
 *
 * @param {string[] | undefined} names
 * @param {{ bytes: number }} settings of the file that `bulk` sends
 */
export async function peers(names, { bytes }) {
  const certificate = await scratch();
  const file = await fileOf(bytes);
  const makers = makersOf({ certificate, file });
  const unknown = names?.filter((name) => !(name in makers)) ?? [];
  if (unknown.length > 0) {
    throw new RangeError(`no peer ${unknown.join(', ')}; there are ${Object.keys(makers).join(', ')}`);
  }
  const made = [];
  for (const [name, make] of Object.entries(makers)) {
    if (names === undefined || names.includes(name)) made.push({ name, ...(await make()) });
  }
  return made;
}

/** Every peer by its name, in the order of the tables. */
function makersOf({ certificate, file }) {
  const pairs = RUNTIMES.flatMap((runtime) => [
    [`${runtime}-lazy`, () => trilane(runtime, 'lazy', file)],
    [`${runtime}-own`, () => trilane(runtime, 'own', file)],
  ]);
  return {
    quinn: () => rust('bare quinn, canned replies', { hello: 'canned', many: 'canned', bulk: 'quinn-bulk' }),
    h3: () => rust('quinn + h3', { hello: 'h3' }),
    core: () =>
      rust('trilane-core, no JavaScript', {
        hello: 'core',
        json: 'core',
        many: `core --connections ${MANY}`,
        bulk: ['core-bulk', '--file', file],
        echo: 'core-echo',
      }),
    ...Object.fromEntries(pairs),
    'bun-http3': () => bunOwn(certificate, file),
    'deno-own-quic': () => denoOwn(certificate),
    'quic-go': () => quicGo(certificate, file),
    'webtransport-go': () => webtransportGo(certificate),
    currentspace: () => currentspace(certificate),
    caddy: () => caddy(certificate),
    ...clients(),
  };
}

function rust(title, works) {
  const split = (words) => (typeof words === 'string' ? words.split(' ') : words);
  const commands = Object.entries(works).map(([work, words]) => [work, [peer(), ...split(words)]]);
  return { title, tls: RUSTLS, works: Object.fromEntries(commands) };
}

/** One command for each work of a server script. */
function script(works, command) {
  return Object.fromEntries(works.map((work) => [work, [...command, '--work', work]]));
}

const KINDS = { lazy: 'lazy Request and Response', own: "the runtime's Request and Response" };

function trilane(runtime, kind, file) {
  const { command, args = [], missing, version } = locate(runtime);
  const built = existing('dist/index.js') ? undefined : 'the package is not built: npm run build';
  const run = [command, ...args];
  return {
    title: `trilane on ${label(runtime, version)}, ${KINDS[kind]}`,
    tls: RUSTLS,
    missing: missing ?? built,
    works: {
      ...script(
        ['hello', 'json', 'many', 'bulk'],
        [...run, source('trilane.mjs'), '--request', kind, '--file', file],
      ),
      echo: [...run, source('trilane-echo.mjs')],
      border: [...run, source('counted.mjs'), '--request', kind, '--file', file],
    },
  };
}

/** `node26 26.10.0` says it twice; `Node 26.10.0` once. */
function label(name, version = '') {
  return `${name[0].toUpperCase()}${name.slice(1).replace(/\d+$/, '')} ${version}`.trim();
}

function source(file) {
  return join(repository, 'bench', 'peers', file);
}

function bunOwn(certificate, file) {
  const { command, missing, version } = locate('bun');
  return {
    title: `${label('bun', version)}'s own http3`,
    tls: 'BoringSSL',
    missing,
    works: script(
      ['hello', 'json', 'many', 'bulk'],
      [command, source('bun-own.ts'), '--certificate', certificate, '--file', file],
    ),
  };
}

function denoOwn(certificate) {
  const { command, missing, version } = locate('deno');
  const flags = ['run', '--quiet', '--no-prompt', '--unstable-net', '--allow-net', '--allow-read'];
  return {
    title: `${label('deno', version)}'s own QUIC and WebTransport`,
    tls: 'rustls + aws-lc-rs',
    missing,
    works: { echo: [command, ...flags, source('deno-echo.mjs'), certificate] },
    // Of HTTP datagrams it knows nothing.
    echoes: ['raw', 'webtransport', 'streams'],
  };
}

async function quicGo(certificate, file) {
  const { program, missing } = await goProgram('quic-go');
  const command = [program, certificate, file];
  return {
    title: `quic-go ${goVersion('quic-go', 'quic-go/quic-go')}`,
    tls: 'crypto/tls',
    missing,
    works: { hello: command, json: command, many: command, bulk: command },
  };
}

async function webtransportGo(certificate) {
  const { program, missing } = await goProgram('webtransport-go');
  const version = (module) => goVersion('webtransport-go', module);
  return {
    title: `webtransport-go ${version('webtransport-go')}, quic-go ${version('quic-go/quic-go')}`,
    tls: 'crypto/tls',
    missing,
    works: { echo: [program, certificate] },
    echoes: ['webtransport', 'streams'],
  };
}

function currentspace(certificate) {
  const { command, missing, version } = locate('node26');
  const manifest = existing('__test__', 'runtimes', 'node_modules', '@currentspace', 'http3', 'package.json');
  const own = manifest && JSON.parse(readFileSync(manifest, 'utf8')).version;
  return {
    title: `@currentspace/http3 ${own ?? ''} on ${label('node26', version)}`,
    tls: 'BoringSSL',
    missing: missing ?? (manifest ? undefined : 'it is not installed: npm ci --prefix __test__/runtimes'),
    works: script(['hello', 'json'], [command, source('currentspace.mjs'), '--certificate', certificate]),
  };
}

/** Every client by its name. The work is the command of one, and what it speaks. */
function clients() {
  const made = (runtime, name, version, tls, title) => () => {
    const { command, args = [], missing, version: of } = locate(runtime);
    const work = { version, command: [command, ...args, source('client.mjs'), name] };
    return { title: `${title} on ${label(runtime, of)}`, tls, missing, works: { client: work } };
  };
  return {
    'node26-client': made('node26', 'trilane', 'h3', RUSTLS, 'trilane, H3Client'),
    'bun-client': made('bun', 'trilane', 'h3', RUSTLS, 'trilane, H3Client'),
    'bun-fetch': made('bun', 'bun', 'h3', 'BoringSSL', 'fetch over HTTP/3'),
    'currentspace-client': made('node26', 'currentspace', 'h3', 'BoringSSL', '@currentspace/http3, client'),
    'undici-h1': made('node26', 'undici-h1', 'h1', 'OpenSSL', 'undici, fetch over HTTP/1.1'),
    'undici-h2': made('node26', 'undici-h2', 'h2', 'OpenSSL', 'undici, fetch over HTTP/2'),
  };
}

async function caddy(certificate) {
  const { program, missing } = await goInstalled(
    `github.com/caddyserver/caddy/v2/cmd/caddy@${CADDY}`,
    'caddy',
  );
  const node = locate('node26');
  return {
    title: `Caddy ${CADDY} in front of ${label('node26', node.version)}`,
    tls: 'crypto/tls',
    missing: missing ?? node.missing,
    works: script(
      ['hello', 'json'],
      [node.command, source('caddy.mjs'), program, '--certificate', certificate],
    ),
  };
}
