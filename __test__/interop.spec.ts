// Clients and servers that nobody here wrote, from npm. Those of other languages: `npm run interop`.

import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { H3Server } from '../index.js';
import { withPairFiles } from './harness/pair.js';
import { locate } from './harness/spec-run.js';
import { REQUEST_CHECKS } from './interop/checks.js';
import { CLIENT_CHECKS } from './interop/client-checks.js';
import { checkForeignServer } from './interop/foreign-server.js';
import { RAW_CHECKS } from './interop/raw-checks.js';
import type { CheckReport } from './interop/report.js';
import { startDatagramServer, startInteropServer } from './interop/server.js';
import { SESSION_CHECKS } from './interop/session-checks.js';

interface Client {
  readonly name: string;
  readonly runtime: string;
  /** Arguments of the runtime. */
  readonly args?: readonly string[];
  readonly script: string;
  /** How many checks there are. */
  readonly checks: number;
  readonly start: () => H3Server;
}

const DENO_ARGS = ['--unstable-net'];
const CLIENTS: readonly Client[] = [
  {
    name: "Bun's fetch (lsquic)",
    runtime: 'bun',
    script: 'bun-client.js',
    checks: REQUEST_CHECKS,
    start: startInteropServer,
  },
  {
    name: '@currentspace/http3 (quiche)',
    runtime: 'node26',
    script: 'quiche-client.js',
    checks: REQUEST_CHECKS,
    start: startInteropServer,
  },
  {
    name: "Bun's node:quic (lsquic)",
    runtime: 'bun',
    script: 'bun-quic-client.js',
    checks: RAW_CHECKS,
    start: startDatagramServer,
  },
  {
    name: "Deno's QUIC (quinn)",
    runtime: 'deno',
    args: DENO_ARGS,
    script: 'deno-quic-client.js',
    checks: RAW_CHECKS,
    start: startDatagramServer,
  },
  {
    name: "Deno's WebTransport",
    runtime: 'deno',
    args: DENO_ARGS,
    script: 'deno-client.js',
    checks: SESSION_CHECKS,
    start: startDatagramServer,
  },
];
/** What Deno's server of sessions cannot be checked for, and why. */
const DENO_SERVER_LACKS: Readonly<Record<string, string>> = {
  'the ends of streams': 'closing a writable sends no FIN',
  'the close code of the client': 'it reads no capsules',
  'the close code of the server': 'its close() closes the connection and sends no capsule',
  'codes of resets and stops, by the server': 'its abort() and cancel() send none',
  'codes of resets and stops, by the client': 'its errors have no `streamErrorCode`',
  'a refused session': 'it accepts all',
  'an agreed protocol': 'it chooses none',
  'a session that the server winds up': 'it cannot ask for it',
};
const CLIENT_MS = 60_000;

for (const { name, runtime, args = [], script, checks, start } of CLIENTS) {
  test.serial(name, async (t) => {
    t.timeout(2 * CLIENT_MS);
    const found = locate(runtime);
    if ('missing' in found) {
      t.log(`skipped: ${found.missing}`);
      if (process.env['CI'] && process.platform === 'linux' && process.arch === 'x64') t.fail(found.missing);
      else t.pass();
      return;
    }
    const server = start();
    try {
      const path = fileURLToPath(new URL(`interop/${script}`, import.meta.url));
      const hash = Buffer.from(server.certificateHash).toString('hex');
      const { reports, noise } = await runClient(found.command, [
        ...found.args,
        ...args,
        path,
        server.url.href,
        hash,
      ]);
      for (const { check, ok, error, skipped } of reports) {
        if (skipped !== undefined) t.log(`skipped: ${check}: ${skipped}`);
        else if (ok) t.pass(check);
        else t.log(`✘ ${check}: ${error}`);
      }
      t.deepEqual(
        reports.filter(({ ok }) => !ok).map(({ check }) => check),
        [],
      );
      t.is(reports.length, checks, noise);
    } finally {
      await server.stop(true);
      server.close();
    }
  });
}

test.serial("our client and Bun's server (lsquic)", async (t) => {
  t.timeout(2 * CLIENT_MS);
  const found = locate('bun');
  if ('missing' in found) {
    t.log(`skipped: ${found.missing}`);
    if (process.env['CI'] && process.platform === 'linux' && process.arch === 'x64') t.fail(found.missing);
    else t.pass();
    return;
  }
  const script = fileURLToPath(new URL('interop/servers/bun-server.js', import.meta.url));
  const reports: CheckReport[] = [];
  const skipped = {
    trailers: 'Bun.serve sends none',
    'an answer that the server breaks off': 'Bun.serve ends it as if it were whole',
  };
  await withPairFiles((cert, key) => {
    const command = [found.command, ...found.args, script, cert, key];
    return checkForeignServer({ command, skipped }, (line) => reports.push(JSON.parse(line) as CheckReport));
  });
  for (const { check, ok, error } of reports) if (!ok) t.log(`✘ ${check}: ${error}`);
  t.deepEqual(
    reports.filter(({ ok }) => !ok).map(({ check }) => check),
    [],
  );
  t.is(reports.length, CLIENT_CHECKS);
});

test.serial("our WebTransport and Deno's server (quinn)", async (t) => {
  t.timeout(2 * CLIENT_MS);
  const found = locate('deno');
  if ('missing' in found) {
    t.log(`skipped: ${found.missing}`);
    if (process.env['CI'] && process.platform === 'linux' && process.arch === 'x64') t.fail(found.missing);
    else t.pass();
    return;
  }
  const script = fileURLToPath(new URL('interop/servers/deno-session-server.js', import.meta.url));
  const client = fileURLToPath(new URL('interop/own-client.js', import.meta.url));
  await withPairFiles(async (cert, key) => {
    const server = spawn(found.command, [...found.args, ...DENO_ARGS, script, cert, key], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: CLIENT_MS,
    });
    try {
      const [url] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string];
      const args = [client, url.trim(), JSON.stringify(DENO_SERVER_LACKS)];
      const { reports, noise } = await runClient(process.execPath, args);
      for (const { check, ok, error } of reports) if (!ok) t.log(`✘ ${check}: ${error}`);
      t.deepEqual(
        reports.filter(({ ok }) => !ok).map(({ check }) => check),
        [],
      );
      t.is(reports.length, SESSION_CHECKS, noise);
    } finally {
      server.kill();
    }
  });
});

/** Runs a client to its end; one that does not end in time is killed, and what it printed until then counts. */
async function runClient(
  command: string,
  args: readonly string[],
): Promise<{ reports: CheckReport[]; noise: string }> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: CLIENT_MS,
    killSignal: 'SIGKILL',
  });
  let printed = '';
  let noise = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    noise += text;
  });
  await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const reports: CheckReport[] = [];
  for (const line of printed.split('\n')) {
    if (line.startsWith('{"check":')) reports.push(JSON.parse(line) as CheckReport);
    else noise += line;
  }
  return { reports, noise };
}
