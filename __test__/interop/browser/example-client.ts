// The chat in a headless Chromium: two tabs talk, the plot gets points. Pictures go to `artifacts/`.

import assert from 'node:assert/strict';
import { Example } from '../../harness/example.js';
import { reportChecks } from '../report.js';
import { type Browser, launchChromium, type Page } from './chromium.js';
import { openTab, shows, takePictures } from './tab.js';

/** Time for the plot to fill, in milliseconds. */
const PLOT_MS = 6_000;

const browser = await launchChromium();
try {
  await Example.with('webtransport-chat/server.mjs', async (chat) => run(browser, (await chat.page()).href));
} finally {
  await browser.close();
}

async function run(browser: Browser, url: string): Promise<void> {
  const errors: string[] = [];
  const one = await openTab(browser, url, errors);
  const other = await openTab(browser, url, errors);
  await reportChecks(
    {
      'two tabs meet': async () => {
        for (const tab of [one, other]) {
          await shows(tab, '#state', /^connected/);
          await shows(tab, '#people', /^2 here/);
        }
      },
      'what one says, both hear': async () => {
        await say(one, 'hello from the first tab');
        await shows(other, '#messages', /hello from the first tab/);
        await other.bringToFront();
        await say(other, 'hello from the second, with a few more words than the first one had');
        await shows(one, '#messages', /hello from the second/);
      },
      'datagrams and streams are measured': async () => {
        await one.bringToFront();
        await shows(one, '#datagram-median', /^\d+\.\d ms$/);
        await shows(one, '#stream-median', /^\d+\.\d ms$/);
      },
      'datagrams that are lost are counted': async () => {
        await one.evaluate(`{
          const lose = document.getElementById('lose');
          lose.value = 20;
          lose.dispatchEvent(new Event('input'));
        }`);
        await shows(one, '#lost', /^[1-9]\d* of /);
      },
      'it looks well in light and dark': async () => {
        await new Promise((resolve) => setTimeout(resolve, PLOT_MS));
        await takePictures(one, 'webtransport-chat');
        assert.deepEqual(errors, []);
      },
    },
    console.log,
  );
}

async function say(tab: Page, text: string): Promise<void> {
  await tab.type('#text', text);
  await tab.keyboard.press('Enter');
}
