#!/usr/bin/env node
// `npm run interop`: clients of other languages, and a browser, against this server, and this client against their servers. Needs Python 3.11 and Go 1.26; what needs
// Chromium, or Python 3.12, is skipped where there is none. TRILANE_PYTHON can name a Python.
//
//   npm run interop                     all of them but h3i
//   npm run interop -- go aioquic       these only
//   npm run interop -- h3i-malformed    quiche's h3i, which builds BoringSSL: needs cmake and libclang
//   npm run interop -- --prebuilt       with the .node file that is there, without Rust
//
// Those called "malformed" hold the conversations of __test__/interop/malformed.json, each on a connection of its own: what
// goes out on which streams, how the server must end it, and that an honest request works afterwards.
//
// The clients of npm run with `npm test` (__test__/interop.spec.ts).

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installPackages, setUp } from './setup.mjs';
import { ROOT, run, runScript, StepError, step } from './steps.mjs';

const FOLDER = join(ROOT, '__test__', 'interop');
const VENV = join(ROOT, '__test__', '.venv');
const PYTHON = join(VENV, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
const PYTHON_COMMAND = process.env.TRILANE_PYTHON ?? (process.platform === 'win32' ? 'python' : 'python3');
const EXE = process.platform === 'win32' ? '.exe' : '';
const GO_PROGRAM = join(ROOT, 'artifacts', `interop${EXE}`);
const GO_WEBTRANSPORT_PROGRAM = join(ROOT, 'artifacts', `interop-webtransport${EXE}`);
const GO_SERVER_PROGRAM = join(ROOT, 'artifacts', `interop-server${EXE}`);
const CADDY_PROGRAM = join(ROOT, 'artifacts', `caddy${EXE}`);
const H3I_TARGET = join(ROOT, 'artifacts', 'h3i');
const H3I_PROGRAM = join(H3I_TARGET, 'debug', `trilane-interop-h3i${EXE}`);
const TABLE = join(FOLDER, 'malformed.json');
const BROWSER = join(FOLDER, 'browser');
const CLIENT_MS = 180_000;
/** Of more checks than these only those are printed that are not ok. */
const SHOWN = 13;
/** The checks of `__test__/interop/checks.ts` and its like. */
const CHECKS = 10;
/** Those of `__test__/interop/session-checks.ts` and its like. */
const SESSION_CHECKS = 14;
/** What the server of webtransport-go cannot be checked for, and why. */
const GO_SERVER_LACKS = {
  'a session that the server winds up': 'it cannot ask for it',
};
const CONVERSATIONS = JSON.parse(readFileSync(TABLE, 'utf8')).length;

const CLIENTS = {
  curl: {
    title: 'curl_cffi (libcurl with ngtcp2)',
    prepare: installPython,
    command: (url) => [PYTHON, join(FOLDER, 'python', 'curl_client.py'), url],
    checks: CHECKS,
  },
  aioquic: {
    title: 'aioquic',
    prepare: installPython,
    command: (url) => [PYTHON, join(FOLDER, 'python', 'aioquic_client.py'), url],
    checks: CHECKS,
  },
  go: { title: 'quic-go', prepare: buildGo, command: (url) => [GO_PROGRAM, url], checks: CHECKS },
  'aioquic-webtransport': {
    title: 'WebTransport over aioquic',
    prepare: installPython,
    command: (url) => [PYTHON, join(FOLDER, 'python', 'webtransport_client.py'), url],
    checks: SESSION_CHECKS,
    datagrams: true,
  },
  'aioquic-webtransport-server': {
    title: "our WebTransport against aioquic's server",
    prepare: installPython,
    server: (cert, key) => [PYTHON, join(FOLDER, 'python', 'webtransport_server.py'), cert, key],
    command: (url) => [process.execPath, join(FOLDER, 'own-client.js'), url],
    checks: SESSION_CHECKS,
  },
  'session-flow': {
    title: 'flow control of sessions over pywebtransport',
    missing: missingPython312,
    prepare: installPython,
    command: (url) => [PYTHON, join(FOLDER, 'python', 'flow_client.py'), url],
    checks: 7,
    datagrams: true,
  },
  'webtransport-go': {
    title: 'webtransport-go',
    prepare: buildGoWebTransport,
    command: (url) => [GO_WEBTRANSPORT_PROGRAM, url],
    checks: SESSION_CHECKS,
    datagrams: true,
  },
  'webtransport-go-server': {
    title: 'our WebTransport against a server of webtransport-go',
    prepare: buildGoWebTransport,
    server: () => [GO_WEBTRANSPORT_PROGRAM, 'serve'],
    command: (url) => [process.execPath, join(FOLDER, 'own-client.js'), url, JSON.stringify(GO_SERVER_LACKS)],
    checks: SESSION_CHECKS,
  },
  chromium: {
    title: 'WebTransport of Chromium',
    missing: missingChromium,
    prepare: installBrowserDriver,
    command: (url, hash) => [process.execPath, join(BROWSER, 'chromium-client.js'), url, hash],
    // One more: a tab that is closed.
    checks: SESSION_CHECKS + 1,
    datagrams: true,
  },
  example: {
    title: 'examples/webtransport-chat in Chromium',
    missing: missingChromium,
    prepare: installBrowserDriver,
    command: () => [process.execPath, join(BROWSER, 'example-client.js')],
    checks: 5,
  },
  'alt-svc': {
    title: 'examples/alt-svc in Chromium, from h2 to h3',
    missing: missingChromium,
    prepare: installBrowserDriver,
    command: () => [process.execPath, join(BROWSER, 'alt-svc-client.js')],
    checks: 3,
  },
  'example-pages': {
    title: 'the pages of the other examples in Chromium',
    missing: missingChromium,
    prepare: installBrowserDriver,
    command: () => [process.execPath, join(BROWSER, 'example-pages-client.js')],
    checks: 4,
  },
  'aioquic-malformed': {
    title: 'aioquic, malformed conversations',
    prepare: installPython,
    command: (url) => [PYTHON, join(FOLDER, 'python', 'malformed.py'), url, TABLE],
    checks: CONVERSATIONS,
  },
  'go-malformed': {
    title: 'quic-go, malformed conversations',
    prepare: buildGo,
    command: (url) => [GO_PROGRAM, url, TABLE],
    checks: CONVERSATIONS,
  },
  'h3i-malformed': {
    title: 'h3i (quiche), malformed conversations',
    prepare: buildH3i,
    command: (url) => [H3I_PROGRAM, url, TABLE],
    checks: CONVERSATIONS,
    onRequest: true,
  },
};

/** Servers that our client is set on: the checks of `__test__/interop/client-checks.ts`. */
const SERVERS = {
  'go-server': {
    title: "our client and quic-go's server",
    prepare: buildGoServer,
    command: (cert, key) => [GO_SERVER_PROGRAM, cert, key],
  },
  caddy: {
    title: 'our client and Caddy',
    prepare: buildCaddy,
    command: (cert, key) => [
      process.execPath,
      join(FOLDER, 'servers', 'caddy-server.js'),
      CADDY_PROGRAM,
      cert,
      key,
    ],
  },
  'aioquic-server': {
    title: "our client and aioquic's server",
    prepare: installPython,
    command: (cert, key) => [PYTHON, join(FOLDER, 'servers', 'aioquic_server.py'), cert, key],
  },
};

const { values, positionals } = parseArgs({
  options: { prebuilt: { type: 'boolean', default: false } },
  allowPositionals: true,
});

await runScript(async () => {
  const { clients, servers } = chosen();
  await setUp({ scope: 'tests', binding: values.prebuilt ? 'prebuilt' : 'built' });
  const missing = new Map();
  for (const client of clients) {
    const why = await client.missing?.();
    if (why !== undefined) missing.set(client, why);
  }
  const present = clients.filter((client) => !missing.has(client));
  for (const prepare of new Set([...present, ...servers].map((peer) => peer.prepare))) {
    await prepare();
  }
  const { startDatagramServer, startInteropServer } = await import('../__test__/interop/server.js');
  const requests = startInteropServer();
  const datagrams = startDatagramServer();
  try {
    let failures = 0;
    for (const client of present) {
      const own = client.datagrams ? datagrams : requests;
      const run = client.server === undefined ? () => runClient(client, own) : () => runAgainst(client);
      failures += await step(client.title, run);
    }
    for (const server of servers) {
      failures += await step(server.title, () => runServer(server));
    }
    for (const [client, why] of missing) {
      console.log(`\n=== ${client.title}: skipped: ${why}`);
    }
    if (failures > 0) {
      throw new StepError(`${failures} checks failed.`);
    }
  } finally {
    for (const server of [requests, datagrams]) {
      await server.stop(true);
      server.close();
    }
  }
});

function chosen() {
  const usual = Object.keys(CLIENTS).filter((name) => CLIENTS[name].onRequest !== true);
  const names = positionals.length > 0 ? positionals : [...usual, ...Object.keys(SERVERS)];
  const known = { ...CLIENTS, ...SERVERS };
  for (const name of names) {
    if (!Object.hasOwn(known, name)) {
      throw new StepError(`There is no peer "${name}"; known are ${Object.keys(known).join(', ')}.`, 2);
    }
  }
  const of = (peers) => names.filter((name) => Object.hasOwn(peers, name)).map((name) => peers[name]);
  return { clients: of(CLIENTS), servers: of(SERVERS) };
}

async function installPython() {
  await step('install the Python clients', async () => {
    if (!existsSync(PYTHON)) {
      await run(PYTHON_COMMAND, ['-m', 'venv', VENV]);
    }
    const requirements = join(FOLDER, 'python', 'requirements.txt');
    await run(PYTHON, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]);
  });
}

async function buildGo() {
  await step('build the Go client', () =>
    run('go', ['build', '-C', join(FOLDER, 'go'), '-o', GO_PROGRAM, '.']),
  );
}

async function buildGoWebTransport() {
  await step('build the client of webtransport-go', () =>
    run('go', ['build', '-C', join(FOLDER, 'go-webtransport'), '-o', GO_WEBTRANSPORT_PROGRAM, '.']),
  );
}

async function buildGoServer() {
  await step('build the Go server', () =>
    run('go', ['build', '-C', join(FOLDER, 'servers', 'go'), '-o', GO_SERVER_PROGRAM, '.']),
  );
}

async function buildCaddy() {
  await step('build Caddy', () =>
    run('go', ['build', '-C', join(FOLDER, 'servers', 'caddy'), '-o', CADDY_PROGRAM, '.']),
  );
}

function missingPython312() {
  const python = existsSync(PYTHON) ? PYTHON : PYTHON_COMMAND;
  const { status } = spawnSync(python, ['-c', 'import sys; sys.exit(sys.version_info < (3, 12))']);
  return status === 0 ? undefined : `pywebtransport needs Python 3.12, and ${python} is older`;
}

async function missingChromium() {
  const { findChromium } = await import('../__test__/interop/browser/chromium.js');
  return findChromium() === undefined ? 'there is no Chromium; TRILANE_CHROMIUM can name one' : undefined;
}

async function installBrowserDriver() {
  await installPackages('__test__/interop/browser');
}

async function buildH3i() {
  const manifest = join(FOLDER, 'h3i', 'Cargo.toml');
  await step('build the h3i client', () =>
    run('cargo', ['build', '--locked', '--manifest-path', manifest, '--target-dir', H3I_TARGET]),
  );
}

/** Starts the server of a client of ours, which prints its URL, and runs the client against it. */
async function runAgainst(client) {
  const { withPairFiles } = await import('../__test__/harness/pair.js');
  let failures = 0;
  await withPairFiles(async (cert, key) => {
    const [command, ...args] = client.server(cert, key);
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: CLIENT_MS,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    });
    try {
      const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
      failures = await runClient(client, { url: new URL(line.trim()), certificateHash: new Uint8Array() });
    } finally {
      child.kill();
    }
  });
  return failures;
}

/** Runs a client, prints its checks (of a long list only what is not ok), and returns how many of them failed or never came. */
async function runClient(client, server) {
  const hash = Buffer.from(server.certificateHash).toString('hex');
  const [command, ...args] = client.command(server.url.href, hash);
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: CLIENT_MS,
    killSignal: 'SIGKILL',
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  try {
    await once(child, 'close');
  } catch (error) {
    throw new StepError(`cannot start ${command}: ${error.message}`);
  }
  const reports = printed
    .split('\n')
    .filter((line) => line.startsWith('{"check":'))
    .map((line) => JSON.parse(line));
  return report(reports, client.checks);
}

/** Sets our client on a server, prints its checks, and returns how many of them failed or never came. */
async function runServer({ command, skipped }) {
  const { checkForeignServer } = await import('../__test__/interop/foreign-server.js');
  const { CLIENT_CHECKS } = await import('../__test__/interop/client-checks.js');
  const { withPairFiles } = await import('../__test__/harness/pair.js');
  const reports = [];
  await withPairFiles(async (cert, key) => {
    await checkForeignServer({ command: command(cert, key), skipped }, (line) =>
      reports.push(JSON.parse(line)),
    );
  });
  return report(reports, CLIENT_CHECKS);
}

/** Prints checks, of a long list only what is not ok; returns how many of `expected` failed or never came. */
function report(reports, expected) {
  for (const { check, ok, ms, error, skipped } of reports) {
    if (expected > SHOWN && ok && skipped === undefined) continue;
    const verdict = skipped === undefined ? (ok ? 'ok  ' : 'FAIL') : 'skip';
    const remark = error ?? skipped;
    console.log(`${verdict} ${check} (${ms} ms)${remark === undefined ? '' : `: ${remark}`}`);
  }
  const skips = reports.filter(({ skipped }) => skipped !== undefined).length;
  const passed = reports.filter(({ ok }) => ok).length - skips;
  console.log(`${passed} of ${expected} checks passed, ${skips} skipped`);
  return expected - passed - skips;
}
