// examples/alt-svc in a headless Chromium, beside the TCP server of each runtime: the page comes over HTTP/2 (or 1.1), what it
// asks for later over HTTP/3, because the Alt-Svc field says so and nothing else does.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { soon } from '../../harness/deadline.js';
import { locate } from '../../harness/spec-run.js';
import { reportChecks } from '../report.js';
import { type Browser, launchChromium, type Page } from './chromium.js';
import { type Chain, makeChain, trustOnly } from './known-root.js';

/** A name that an authority may vouch for; it is resolved to the loopback. */
const HOST = 'h3.example.com';
const EXAMPLE = fileURLToPath(new URL('../../../examples/alt-svc/server.mjs', import.meta.url));
/** Time within which a browser is to change over, in milliseconds. */
const MOVE_MS = 10_000;
const SETTLE_MS = 10_000;
/** What each of them speaks over TCP. */
const FIRST: Readonly<Record<string, string>> = { node: 'h2', bun: 'http/1.1', deno: 'h2' };

const folder = mkdtempSync(join(tmpdir(), 'trilane-alt-svc-'));
try {
  const chain = makeChain(folder, HOST);
  const profile = join(folder, 'profile');
  trustOnly(chain.root, profile);
  const browser = await launchChromium({ profile });
  try {
    // The list of authorities is read a moment after the component is ready.
    await sleep(SETTLE_MS);
    const checks = Object.keys(FIRST).map((name) => [
      `a browser that came by ${FIRST[name]} to the server of ${name} moves to h3`,
      () => moves(name, chain, browser),
    ]);
    await reportChecks(Object.fromEntries(checks) as Record<string, () => Promise<void>>, console.log);
  } finally {
    await browser.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function moves(name: string, chain: Chain, browser: Browser): Promise<void> {
  const server = startExample(name, chain);
  try {
    const url = `https://${HOST}:${await soon('the port of the example', portOf(server))}/`;
    const page = await browser.newPage();
    await page.goto(url, { waitUntil: 'load' });
    assert.equal(await arrived(page), FIRST[name], 'the first page comes over TCP');
    await until(page, 'h3');
    // Not for one request only, bodies included, and for the next page too.
    for (let round = 0; round < 5; round++) assert.equal(await asked(page), 'h3');
    const echo = await page.evaluate(`fetch('/api/echo', { method: 'POST', body: 'x'.repeat(100_000) })
      .then((response) => response.text()).then((text) => text.length)`);
    assert.equal(echo, 100_000);
    await page.goto(url, { waitUntil: 'load' });
    assert.equal(await arrived(page), 'h3', 'the next page comes over HTTP/3');
    await page.close();
  } finally {
    server.kill('SIGTERM');
    await soon('the end of the example', once(server, 'exit')).catch(() => server.kill('SIGKILL'));
  }
}

/** The protocol that the page came by. */
function arrived(page: Page): Promise<unknown> {
  return page.evaluate(`performance.getEntriesByType('navigation')[0].nextHopProtocol`);
}

/** The protocol that a new request went by. */
async function asked(page: Page): Promise<unknown> {
  return page.evaluate(`fetch('/api/number?' + crypto.randomUUID())
    .then((response) => response.json())
    .then(() => performance.getEntriesByType('resource').at(-1).nextHopProtocol)`);
}

async function until(page: Page, protocol: string): Promise<void> {
  const deadline = performance.now() + MOVE_MS;
  let last: unknown;
  do {
    last = await asked(page);
    if (last === protocol) return;
    await sleep(100);
  } while (performance.now() < deadline);
  assert.equal(last, protocol);
}

function startExample(name: string, { certPath, keyPath }: Chain): ChildProcess {
  const runtime = name === 'node' ? { command: process.execPath, args: [] } : locate(name);
  if ('missing' in runtime) throw new Error(runtime.missing);
  return spawn(runtime.command, [...runtime.args, EXAMPLE, '--with', name], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CERT: certPath, KEY: keyPath, PORT: '0' },
  });
}

/** From what the example prints first. */
async function portOf(child: ChildProcess): Promise<number> {
  let printed = '';
  for await (const text of child.stdout ?? []) {
    printed += text;
    const [, port] = /localhost:(\d+)/.exec(printed) ?? [];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`the example ended: ${printed}`);
}
