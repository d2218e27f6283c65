#!/usr/bin/env node
// `npm run interop`: HTTP/3 clients of other languages against this server. Needs Python 3.11 and Go 1.26.
//
//   npm run interop                     all of them
//   npm run interop -- go aioquic       these only
//   npm run interop -- --prebuilt       with the .node file that is there, without Rust
//
// The clients of npm run with `npm test` (__test__/interop.spec.ts).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setUp } from './setup.mjs';
import { ROOT, run, runScript, StepError, step } from './steps.mjs';

const FOLDER = join(ROOT, '__test__', 'interop');
const VENV = join(ROOT, '__test__', '.venv');
const PYTHON = join(VENV, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
const GO_PROGRAM = join(ROOT, 'artifacts', process.platform === 'win32' ? 'interop.exe' : 'interop');
const CLIENT_MS = 120_000;
/** The checks of `__test__/interop/checks.ts` and its like. */
const CHECKS = 7;

const CLIENTS = {
  curl: {
    title: 'curl_cffi (libcurl with ngtcp2)',
    prepare: installPython,
    command: [PYTHON, join(FOLDER, 'python', 'curl_client.py')],
  },
  aioquic: {
    title: 'aioquic',
    prepare: installPython,
    command: [PYTHON, join(FOLDER, 'python', 'aioquic_client.py')],
  },
  go: { title: 'quic-go', prepare: buildGo, command: [GO_PROGRAM] },
};

const { values, positionals } = parseArgs({
  options: { prebuilt: { type: 'boolean', default: false } },
  allowPositionals: true,
});

await runScript(async () => {
  const clients = chosenClients();
  await setUp({ scope: 'tests', binding: values.prebuilt ? 'prebuilt' : 'built' });
  for (const prepare of new Set(clients.map((client) => client.prepare))) {
    await prepare();
  }
  const { startInteropServer } = await import('../__test__/interop/server.js');
  const server = startInteropServer();
  try {
    let failures = 0;
    for (const { title, command } of clients) {
      failures += await step(title, () => runClient(command, server.url.href));
    }
    if (failures > 0) {
      throw new StepError(`${failures} checks failed.`);
    }
  } finally {
    await server.stop(true);
    server.close();
  }
});

function chosenClients() {
  const names = positionals.length > 0 ? positionals : Object.keys(CLIENTS);
  return names.map((name) => {
    if (!Object.hasOwn(CLIENTS, name)) {
      throw new StepError(`There is no client "${name}"; known are ${Object.keys(CLIENTS).join(', ')}.`, 2);
    }
    return CLIENTS[name];
  });
}

async function installPython() {
  await step('install the Python clients', async () => {
    if (!existsSync(PYTHON)) {
      await run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', VENV]);
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

/** Runs a client, prints its checks, and returns how many of them failed or never came. */
async function runClient([command, ...args], url) {
  const child = spawn(command, [...args, url], {
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
  for (const { check, ok, ms, error, skipped } of reports) {
    const verdict = skipped === undefined ? (ok ? 'ok  ' : 'FAIL') : 'skip';
    const remark = error ?? skipped;
    console.log(`${verdict} ${check} (${ms} ms)${remark === undefined ? '' : `: ${remark}`}`);
  }
  return CHECKS - reports.filter(({ ok }) => ok).length;
}
