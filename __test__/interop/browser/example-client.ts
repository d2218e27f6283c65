// The example in a headless Chromium: two tabs chat, the plot gets points. Screenshots go to `artifacts/`.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { soon } from '../../harness/deadline.js';
import { reportChecks } from '../report.js';
import { type Browser, launchChromium, type Page } from './chromium.js';

const EXAMPLE = fileURLToPath(new URL('../../../examples/webtransport-chat/server.mjs', import.meta.url));
const ARTIFACTS = fileURLToPath(new URL('../../../artifacts/', import.meta.url));
const WAIT_MS = 10_000;

const server = spawn(process.execPath, [EXAMPLE], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, PORT: '0' },
});
try {
  const url = await soon('the address of the example', addressOf(server));
  const browser = await launchChromium();
  try {
    await run(browser, url);
  } finally {
    await browser.close();
  }
} finally {
  server.kill('SIGTERM');
  await soon('the end of the example', once(server, 'exit')).catch(() => server.kill('SIGKILL'));
}

async function run(browser: Browser, url: string): Promise<void> {
  const errors: string[] = [];
  const tabs = [await openTab(browser, url, errors), await openTab(browser, url, errors)] as const;
  const [one, other] = tabs;
  await reportChecks(
    {
      'two tabs meet': async () => {
        for (const tab of tabs) await shows(tab, 'people', /^2 here/);
      },
      'what one says, both hear': async () => {
        await say(one, 'hello from the first tab');
        await shows(other, 'messages', /hello from the first tab/);
        await other.bringToFront();
        await say(other, 'hello from the second, with a few more words than the first one had');
        await shows(one, 'messages', /hello from the second/);
      },
      'datagrams and streams are measured': async () => {
        await one.bringToFront();
        await shows(one, 'datagram-median', /^\d+\.\d ms$/);
        await shows(one, 'stream-median', /^\d+\.\d ms$/);
      },
      'datagrams that are lost are counted': async () => {
        await one.evaluate(`{
          const lose = document.getElementById('lose');
          lose.value = 20;
          lose.dispatchEvent(new Event('input'));
        }`);
        await shows(one, 'lost', /^[1-9]\d* of /);
      },
      'it looks well in light and dark': async () => {
        await new Promise((resolve) => setTimeout(resolve, 6_000));
        await mkdir(ARTIFACTS, { recursive: true });
        for (const scheme of ['light', 'dark']) {
          await one.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
          await new Promise((resolve) => setTimeout(resolve, 300));
          await one.screenshot({ path: `${ARTIFACTS}webtransport-chat-${scheme}.png` });
        }
        await one.setViewport({ width: 390, height: 844 });
        await new Promise((resolve) => setTimeout(resolve, 300));
        await one.screenshot({ path: `${ARTIFACTS}webtransport-chat-narrow.png`, fullPage: true });
        assert.deepEqual(errors, []);
      },
    },
    console.log,
  );
}

async function openTab(browser: Browser, url: string, errors: string[]): Promise<Page> {
  const tab = await browser.newPage();
  tab.on('pageerror', ({ message }) => errors.push(message ?? 'an error'));
  await tab.setViewport({ width: 1180, height: 760 });
  await tab.goto(url, { waitUntil: 'load' });
  await shows(tab, 'state', /^connected/);
  return tab;
}

async function say(tab: Page, text: string): Promise<void> {
  await tab.type('#text', text);
  await tab.keyboard.press('Enter');
}

/** Waits until the text of an element matches. */
async function shows(tab: Page, id: string, pattern: RegExp): Promise<void> {
  const condition = `${pattern}.test(document.getElementById(${JSON.stringify(id)}).textContent)`;
  try {
    await tab.waitForFunction(condition, { timeout: WAIT_MS, polling: 100 });
  } catch {
    const text = await tab.evaluate(`document.getElementById(${JSON.stringify(id)}).textContent`);
    throw new Error(`#${id} says ${JSON.stringify(text)}, expected ${pattern}`);
  }
}

/** What the example prints first. */
async function addressOf(child: ChildProcess): Promise<string> {
  let printed = '';
  for await (const text of child.stdout ?? []) {
    printed += text;
    const [address] = /http:\S+/.exec(printed) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error(`the example ended: ${printed}`);
}
