// The pages of the other examples in a headless Chromium. Pictures go to `artifacts/`.
//
// Those of sse and static come over HTTP/3 from the first byte on: Chromium is told that it is there, and given the key of a
// certificate to trust.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Example } from '../../harness/example.js';
import { twoPairs } from '../../harness/pair.js';
import { type Folder, withFolder } from '../../harness/scratch.js';
import { reportChecks } from '../report.js';
import { type Browser, launchChromium, type Page } from './chromium.js';
import { openTab, shows, takePictures } from './tab.js';

/** Long enough for its progress to be seen. */
const FILE_BYTES = 40_000_000;

await withFolder((folder) =>
  reportChecks(
    {
      'upload: progress as the server counts it, and what was stored': () =>
        inBrowser((b) => upload(b, folder)),
      'game-loop: two tabs play, and a player goes where the pointer is pressed': () => inBrowser(gameLoop),
      'sse: readings come, also after a restart of the server': () => sse(folder),
      'static: over HTTP/3, a folder, a page for what is not there': () => staticSite(folder),
    },
    console.log,
  ),
);

async function upload(browser: Browser, folder: Folder): Promise<void> {
  const file = folder.file('a photo.jpg', Buffer.alloc(FILE_BYTES, 'x'));
  const small = folder.file('notes.txt', 'a few words');
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  folder.file('stored/placeholder', '');
  await Example.with(
    'upload/server.mjs',
    async (example) => {
      const errors: string[] = [];
      const tab = await openTab(browser, (await example.page()).href, errors);
      await shows(tab, '#state', /^connected/);
      await tab.evaluate(`{
        globalThis.seen = [];
        const progress = new MutationObserver(() => {
          for (const bar of document.querySelectorAll('progress')) seen.push(bar.value);
        });
        progress.observe(document.getElementById('files'), { subtree: true, characterData: true, childList: true });
      }`);
      await choose(tab, file);
      await shows(tab, '#files li', /^\s*a photo\.jpg/);
      await shows(tab, '#files .sum', new RegExp(`^sha-256 ${hash.slice(0, 16)}`));
      const seen = (await tab.evaluate('seen')) as number[];
      assert.ok(
        seen.some((value) => value > 0 && value < 1),
        `progress: ${seen}`,
      );
      assert.equal(readFileSync(folder.at('stored/a photo.jpg')).length, FILE_BYTES);
      await choose(tab, small);
      await shows(tab, '#files li', /notes\.txt[\s\S]*11 B stored/);
      const hidden = folder.file('.hidden', 'x');
      await choose(tab, hidden);
      await shows(tab, '#files li', /not stored: that is no name for a file/);
      await takePictures(tab, 'upload');
      await example.stop();
      await shows(tab, '#state', /^the server has gone$/);
      assert.deepEqual(errors, []);
    },
    { args: [folder.at('stored')] },
  );
}

async function choose(tab: Page, path: string): Promise<void> {
  const input = await tab.$('#choose');
  await input?.uploadFile(path);
}

async function gameLoop(browser: Browser): Promise<void> {
  await Example.with('game-loop/server.mjs', async (example) => {
    const errors: string[] = [];
    const url = (await example.page()).href;
    const other = await openTab(browser, url, errors);
    await shows(other, '#state', /^connected/);
    const one = await openTab(browser, url, errors);
    await shows(one, '#scores', /you/);
    await shows(one, '#scores', /player/);
    await shows(one, '#rate', /^(2[5-9]|3[0-5])$/);
    await shows(one, '#round-trip', /^\d+ ms$/);
    await untilScored(one);
    await takePictures(one, 'game-loop');
    await example.stop();
    await shows(one, '#state', /^closed: the server stops$/);
    assert.deepEqual(errors, []);
  });
}

/** Presses the pointer on a spark until the player of this tab has got there. */
async function untilScored(tab: Page): Promise<void> {
  await tab.bringToFront();
  const [x, y] = (await tab.evaluate(`(() => {
    const canvas = document.getElementById('arena');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let at = 0;
    while (data[at] !== 217 || data[at + 1] !== 154 || data[at + 2] !== 0) at += 4;
    const { left, top, width } = canvas.getBoundingClientRect();
    const scale = width / canvas.width;
    const pixel = at / 4;
    return [left + (pixel % canvas.width) * scale, top + Math.floor(pixel / canvas.width) * scale + 5];
  })()`)) as [number, number];
  await tab.mouse.move(x, y);
  await tab.mouse.down();
  await shows(tab, '#scores', /you [1-9]/);
  await tab.mouse.up();
}

async function sse(folder: Folder): Promise<void> {
  const trust = certificate(folder);
  let port = '0';
  const errors: string[] = [];
  const example = new Example('sse/server.mjs', { env: trust.env });
  try {
    const url = await example.url();
    port = url.port;
    await inBrowser(
      async (browser) => {
        const tab = await openTab(browser, `https://localhost:${port}/`, errors);
        await shows(tab, '#state', /^connected/);
        await shows(tab, '#count', /^3$/);
        assert.equal(await protocolOf(tab), 'h3');
        await example.stop();
        await shows(tab, '#state', /^connecting again/);
        await Example.with(
          'sse/server.mjs',
          async () => {
            await shows(tab, '#state', /^connected/);
            await shows(tab, '#count', /^[6-9]$/);
            await takePictures(tab, 'sse');
            await tab.close();
          },
          { env: { ...trust.env, PORT: port } },
        );
      },
      chromiumArgs(port, trust.key),
    );
  } finally {
    example.kill();
  }
  assert.deepEqual(errors, []);
}

async function staticSite(folder: Folder): Promise<void> {
  const trust = certificate(folder);
  await Example.with(
    'static/server.mjs',
    async (example) => {
      const errors: string[] = [];
      const { port } = await example.url();
      const base = `https://localhost:${port}/`;
      await inBrowser(
        async (browser) => {
          const index = await openTab(browser, base, errors);
          await shows(index, '#protocol', /^h3$/);
          await takePictures(index, 'static-index');
          const notes = await openTab(browser, `${base}notes`, errors);
          await shows(notes, 'h1', /^\/notes\/$/);
          await takePictures(notes, 'static-folder');
          const nowhere = await openTab(browser, `${base}nowhere`, errors);
          await shows(nowhere, 'h1', /^There is nothing here$/);
          await takePictures(nowhere, 'static-not-found');
          assert.equal(await protocolOf(nowhere), 'h3');
        },
        chromiumArgs(port, trust.key),
      );
      assert.deepEqual(errors, []);
    },
    { env: trust.env },
  );
}

function protocolOf(tab: Page): Promise<unknown> {
  return tab.evaluate(`performance.getEntriesByType('navigation')[0].nextHopProtocol`);
}

async function inBrowser(use: (browser: Browser) => Promise<void>, args?: readonly string[]): Promise<void> {
  const browser = await launchChromium(args === undefined ? {} : { more: args });
  try {
    await use(browser);
  } finally {
    await browser.close();
  }
}

/** Chromium takes HTTP/3 for granted at the port, and trusts certificates with this key (SHA-256, base64). */
function chromiumArgs(port: string, key: string): string[] {
  return [`--origin-to-force-quic-on=localhost:${port}`, `--ignore-certificate-errors-spki-list=${key}`];
}

/** A certificate for localhost: the environment that examples take it from, and its key as Chromium wants it. */
function certificate(folder: Folder): { env: Readonly<Record<string, string>>; key: string } {
  const [{ cert, key }] = twoPairs();
  const env = { CERT: folder.file('cert.pem', cert), KEY: folder.file('key.pem', key) };
  const publicKey = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
  return { env, key: createHash('sha256').update(publicKey).digest('base64') };
}
