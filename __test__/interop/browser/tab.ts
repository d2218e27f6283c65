// What the tests of pages do with a tab.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from './chromium.js';

const ARTIFACTS = fileURLToPath(new URL('../../../artifacts/', import.meta.url));
const WAIT_MS = 10_000;
/** Time that a page takes to show itself anew, in milliseconds. */
const SETTLE_MS = 300;

/** Opens `url` in a new tab; what goes wrong in the page is added to `errors`. */
export async function openTab(browser: Browser, url: string, errors: string[]): Promise<Page> {
  const tab = await browser.newPage();
  tab.on('pageerror', ({ message }) => errors.push(message ?? 'an error'));
  await tab.setViewport({ width: 1180, height: 760 });
  await tab.goto(url, { waitUntil: 'load' });
  return tab;
}

/** Waits until the text of the first element that `selector` finds matches. */
export async function shows(tab: Page, selector: string, pattern: RegExp): Promise<void> {
  const text = `document.querySelector(${JSON.stringify(selector)})?.textContent`;
  try {
    await tab.waitForFunction(`${pattern}.test(${text})`, { timeout: WAIT_MS, polling: 100 });
  } catch {
    throw new Error(`${selector} says ${JSON.stringify(await tab.evaluate(text))}, expected ${pattern}`);
  }
}

/** Takes pictures of a tab, in light, in dark and narrow: `artifacts/<name>-….png`. */
export async function takePictures(tab: Page, name: string): Promise<void> {
  await mkdir(ARTIFACTS, { recursive: true });
  const settled = () => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  for (const scheme of ['light', 'dark']) {
    await tab.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await settled();
    await tab.screenshot({ path: `${ARTIFACTS}${name}-${scheme}.png` });
  }
  await tab.setViewport({ width: 390, height: 844 });
  await settled();
  await tab.screenshot({ path: `${ARTIFACTS}${name}-narrow.png`, fullPage: true });
}
