import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { until } from '../../harness/deadline.js';

/** What is used of a page of puppeteer-core; it is installed beside this, where the compiler does not look. */
export interface Page {
  goto(url: string, options?: { waitUntil: 'load' }): Promise<unknown>;
  evaluate(expression: string): Promise<unknown>;
  exposeFunction(name: string, call: (...given: never[]) => unknown): Promise<void>;
  waitForFunction(expression: string, options?: { timeout: number; polling: number }): Promise<unknown>;
  screenshot(options: { path: string; fullPage?: boolean }): Promise<unknown>;
  setViewport(size: { width: number; height: number; deviceScaleFactor?: number }): Promise<void>;
  emulateMediaFeatures(features: readonly { name: string; value: string }[]): Promise<void>;
  bringToFront(): Promise<void>;
  type(selector: string, text: string): Promise<void>;
  $(selector: string): Promise<{ uploadFile(path: string): Promise<void> } | null>;
  keyboard: { press(key: string): Promise<void> };
  mouse: { move(x: number, y: number): Promise<void>; down(): Promise<void>; up(): Promise<void> };
  on(event: 'pageerror' | 'console', listener: (event: { message?: string; text?(): string }) => void): void;
  close(): Promise<void>;
}

/** A browser; `close` ends its processes. */
export interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

interface Puppeteer {
  launch(options: {
    executablePath: string;
    args: string[];
    ignoreDefaultArgs?: string[];
    userDataDir?: string;
    timeout: number;
  }): Promise<Browser>;
}

const LAUNCH_MS = 60_000;
const CANDIDATES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** The Chromium of this machine: `TRILANE_CHROMIUM`, or one at a usual place. */
export function findChromium(): string | undefined {
  return [process.env['TRILANE_CHROMIUM'] ?? '', ...CANDIDATES].find(existsSync);
}

/** How Chromium is started. */
export interface LaunchOptions {
  /** A folder for its profile, with one component that an updater would have put there. Default: a new one, without any. */
  readonly profile?: string;
  /** Further arguments. Default: none. */
  readonly more?: readonly string[];
}

/**
 * Lets Chromium load components from its profile and say when it has; it reaches nothing but the loopback, neither to update
 * them nor otherwise.
 */
const WITH_COMPONENTS = [
  '--component-updater=url-source=http://127.0.0.1:1/',
  '--host-resolver-rules=MAP * 127.0.0.1',
  '--enable-logging',
  '--vmodule=component_installer=1',
];

/** Starts Chromium without a window. Throws if there is none. */
export async function launchChromium({ profile, more = [] }: LaunchOptions = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('there is no Chromium; TRILANE_CHROMIUM can name one');
  const require = createRequire(import.meta.url);
  const puppeteer = (await import(pathToFileURL(require.resolve('puppeteer-core')).href)) as Puppeteer;
  // Chromium refuses to run as root with its sandbox, as in containers.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  if (profile === undefined)
    return puppeteer.launch({ executablePath, args: [...args, ...more], timeout: LAUNCH_MS });
  const browser = await puppeteer.launch({
    executablePath,
    args: [...args, ...WITH_COMPONENTS, ...more],
    ignoreDefaultArgs: ['--disable-component-update'],
    userDataDir: profile,
    timeout: LAUNCH_MS,
  });
  const log = join(profile, 'chrome_debug.log');
  const isReady = (): boolean => existsSync(log) && /Component ready/.test(readFileSync(log, 'utf8'));
  try {
    // It does that when it has nothing better to do.
    await until('Chromium to load the component of its profile', isReady, LAUNCH_MS);
  } catch (error) {
    await browser.close();
    throw error;
  }
  return browser;
}

/**
 * Serves the compiled scripts of `interop/`, and `/` as an empty page, on 127.0.0.1: pages from there have WebTransport
 * without a certificate. Returns the URL and how to stop.
 */
export async function servePage(): Promise<{ url: string; stop(): void }> {
  const server = createServer((request, response) => {
    const [, script] = /^\/([\w/-]+\.js)$/.exec(request.url ?? '') ?? [];
    const answer = (type: string, body: string): void => {
      response.writeHead(200, { 'content-type': type }).end(body);
    };
    if (script === undefined) answer('text/html', '<!doctype html><title>trilane</title>');
    else {
      readFile(fileURLToPath(new URL(`../${script}`, import.meta.url)), 'utf8').then(
        (source) => answer('text/javascript', source),
        () => response.writeHead(404).end(),
      );
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, stop };
}
