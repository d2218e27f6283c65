#!/usr/bin/env node
// Clients under the same work: requests a second and CPU time of the client's process for each, a small GET at a time.
//
//   node bench/client.mjs [--seconds 3] [--at-once 64] [--rounds 3] [client ...]
//
// Those of HTTP/3 ask the same server: `peer core`, the core without JavaScript. The others ask a server of Node.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { locate } from '../__test__/runtimes/locate.mjs';
import { onCore } from './child.mjs';
import { existing, peer } from './paths.mjs';

const ROWS = [
  { name: 'trilane on Node 26', runtime: 'node26', client: 'trilane', server: 'h3' },
  { name: 'trilane on Bun', runtime: 'bun', client: 'trilane', server: 'h3' },
  { name: "Bun's fetch, HTTP/3", runtime: 'bun', client: 'bun', server: 'h3' },
  { name: '@currentspace/http3 on Node 26', runtime: 'node26', client: 'currentspace', server: 'h3' },
  { name: 'undici on Node 26, HTTP/1.1', runtime: 'node26', client: 'undici', server: 'h1' },
  { name: 'undici on Node 26, HTTP/2', runtime: 'node26', client: 'undici-h2', server: 'h2' },
];

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    'at-once': { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
  },
  allowPositionals: true,
});

const folder = mkdtempSync(join(tmpdir(), 'trilane-bench-'));
try {
  await ended(spawn(peer(), ['certificate', '--out', folder], { stdio: 'ignore' }));
  const rows = ROWS.filter(({ client }) => positionals.length === 0 || positionals.includes(client));
  const samples = new Map(rows.map((row) => [row, []]));
  // In turn, so that a machine that is busy for a while is unfair to nobody.
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const row of rows) samples.get(row).push(await measure(row));
  }
  const table = rows.map((row) => ({
    client: row.name,
    'requests/s': middle(samples.get(row), 'requestsPerSecond').toFixed(0),
    'CPU µs/request': middle(samples.get(row), 'cpuMicroseconds').toFixed(1),
  }));
  console.table(table);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function serverCommand(version) {
  if (version === 'h3') return [peer(), 'core', '--port', '0'];
  return [process.execPath, existing('bench', 'client-target.mjs'), version, folder];
}

async function measure({ name, runtime, client, server: version }) {
  const found = locate(runtime);
  if (found.missing !== undefined) throw new Error(`${name}: ${found.missing}`);
  const server = launch([...onCore(0), ...serverCommand(version)], 'inherit');
  try {
    const { port } = JSON.parse(await firstLine(server));
    const url = `https://127.0.0.1:${port}/`;
    const script = existing('bench', 'client-row.mjs');
    const args = [client, url, values.seconds, values['at-once']];
    const row = launch([...onCore(1), found.command, ...found.args, script, ...args], 'inherit');
    const line = await firstLine(row);
    await ended(row);
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  } finally {
    server.stdin.end();
    server.kill('SIGTERM');
  }
}

function launch([program, ...args], stderr) {
  return spawn(program, args, { stdio: ['pipe', 'pipe', stderr], timeout: 120_000, killSignal: 'SIGKILL' });
}

async function firstLine(child) {
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('it ended without a word');
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}

function middle(samples, key) {
  const sorted = samples.map((sample) => sample[key]).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
