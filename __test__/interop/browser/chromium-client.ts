// WebTransport of a headless Chromium: `node chromium-client.js <url> <SHA-256 of the certificate, hex>`.

import assert from 'node:assert/strict';
import process from 'node:process';
import { reportChecks } from '../report.js';
import { type Browser, launchChromium, servePage } from './chromium.js';

const target = process.argv.slice(2, 4).map((argument) => JSON.stringify(argument));

const site = await servePage();
try {
  const browser = await launchChromium();
  try {
    await sessionChecks(browser);
    await reportChecks({ 'a tab that is closed': () => closedTab(browser) }, console.log);
  } finally {
    await browser.close();
  }
} finally {
  site.stop();
}

async function sessionChecks(browser: Browser): Promise<void> {
  const page = await browser.newPage();
  await page.exposeFunction('report', (line: string) => console.log(line));
  await page.goto(site.url);
  await page.evaluate(`import('/browser/page.js').then(({ run }) => run(${target}))`);
  await page.close();
}

/** Its session is over for the server, though nobody closed it. */
async function closedTab(browser: Browser): Promise<void> {
  const tab = await browser.newPage();
  await tab.goto(site.url);
  await tab.evaluate(
    `import('/browser/page.js').then(({ open }) => (globalThis.session = open(${target}, '/sessions/echo/tab')).ready)`,
  );
  await tab.close();
  const witness = await browser.newPage();
  await witness.goto(site.url);
  const ending = await witness.evaluate(`(async () => {
    const { open } = await import('/browser/page.js');
    const session = open(${target}, '/sessions/ended/tab');
    const { value: stream } = await session.incomingUnidirectionalStreams.getReader().read();
    return new Response(stream).text();
  })()`);
  assert.match(String(ending), /closeCode|broke/);
  await witness.close();
}
