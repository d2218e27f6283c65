// A program of its own for `specs/client-process.ts`: `client-scenario.js <name>`. Its server is its own, and does not keep it
// alive. It prints what the spec looks for; how it ends is the rest.

import { Buffer } from 'node:buffer';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createH3Server, H3Client, type H3Server, h3fetch, isH3Error, Response } from 'trilane';
import { collectGarbage } from '../harness/runtime.js';

const SCENARIOS: Readonly<Record<string, () => Promise<void> | void>> = {
  /** A connection stays open, and nobody waits for anything. */
  async idle() {
    const { client, url } = pair();
    say(await (await client.fetch(url)).text());
  },

  /** The body of an answer that nobody reads on. */
  async unread() {
    const { client, url } = pair();
    const response = await client.fetch(new URL('/half', url));
    await response.body?.getReader().read();
    say('read');
  },

  async waitsForHead() {
    const { client, url } = pair();
    say(await (await client.fetch(new URL('/slow', url))).text());
  },

  async waitsForBody() {
    const { client, url } = pair();
    const response = await client.fetch(new URL('/slow-body', url));
    say(await response.text());
  },

  unreferenced() {
    const { client, url } = pair();
    client.unref();
    void client.fetch(new URL('/never', url));
    setTimeout(() => say('begun'), 200);
  },

  async closes() {
    const { client, url } = pair();
    await (await client.fetch(url)).text();
    await client.close();
    say('closed');
  },

  async destroys() {
    const { client, url } = pair();
    const waiting = client.fetch(new URL('/never', url)).catch(({ cause }) => say(cause.code));
    await sleep(100);
    client.destroy();
    await waiting;
  },

  /** Requests of every kind under way. */
  async exits() {
    const { client, url } = pair();
    for (const path of ['/never', '/endless', '/slow-body']) {
      void client.fetch(new URL(path, url)).then((response) => response.text());
    }
    const body = new ReadableStream({ pull: () => sleep(1_000) });
    void client.fetch(new URL('/echo', url), { method: 'POST', body, duplex: 'half' });
    await sleep(200);
    process.exit(7);
  },

  waitsForSignal() {
    const { client, url } = pair();
    void client.fetch(new URL('/endless', url)).then((response) => {
      say('begun');
      return response.text();
    });
  },

  /** Ends as LEAVE says, with a connection to the server at SERVER. */
  async leaves() {
    const { LEAVE: how, SERVER: url, HASH: hash } = process.env as Record<string, string>;
    const client = new H3Client({ serverCertificateHashes: [Buffer.from(hash as string, 'hex')] });
    await (await client.fetch(url as string)).text();
    const controller = new AbortController();
    if (how !== 'idle') {
      const { signal } = controller;
      client.fetch(new URL('/never', url), { signal }).catch(() => undefined);
      await sleep(100);
    }
    say('leaving');
    if (how === 'abort') controller.abort();
    if (how === 'destroy') client.destroy();
    if (how === 'exit') process.exit(0);
  },

  /** Asks the server at SERVER twice, with the client that h3fetch has; says what came of it. */
  async fetchesTwice() {
    const ask = async (): Promise<string> => {
      const response = await h3fetch(process.env['SERVER'] as string);
      return `${response.status} ${await response.text()}`;
    };
    try {
      say(`${await ask()}, ${await ask()}`);
    } catch (error) {
      const { name, cause } = error as TypeError;
      say(`${name} ${isH3Error(cause) ? cause.code : String(cause)}`);
    }
  },

  /** A worker that is terminated with requests under way; then one of the main thread. */
  async terminatesWorker() {
    const { client, url, server } = pair();
    const worker = new Worker(new URL('client-worker.js', import.meta.url), {
      workerData: { url: url.href, hash: server.certificateHash },
    });
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    while (server.getStats().requestsActive > 0) await sleep(10);
    say(await (await client.fetch(url)).text());
  },

  /** Clients that nobody holds and nobody closed. */
  async forgets() {
    const { server, url } = pair();
    const use = async (): Promise<void> => {
      const client = new H3Client({ serverCertificateHashes: [server.certificateHash] });
      await (await client.fetch(url)).text();
    };
    await Promise.all(Array.from({ length: 20 }, use));
    const end = Date.now() + 10_000;
    while (server.getStats().connectionsActive > 0 && Date.now() < end) {
      collectGarbage();
      await sleep(20);
    }
    say(`${server.getStats().connectionsActive} left`);
  },
};

await SCENARIOS[process.argv[2] ?? '']?.();

function say(what: string): void {
  process.stdout.write(`${what}\n`);
}

function pair(): { client: H3Client; server: H3Server; url: URL } {
  const server = createH3Server({ hostname: '127.0.0.1', mode: 'streaming', fetch: answer }).unref();
  const client = new H3Client({ serverCertificateHashes: [server.certificateHash] });
  return { client, server, url: server.url };
}

async function answer(request: Request): Promise<Response> {
  switch (new URL(request.url).pathname) {
    case '/never':
      return new Promise(() => undefined);
    case '/slow':
      await sleep(700);
      return new Response('slow');
    case '/slow-body':
      return new Response(pieces(2, 400));
    case '/half':
      return new Response(
        new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1_000)) }),
      );
    case '/endless':
      return new Response(pieces(Number.POSITIVE_INFINITY, 1));
    case '/echo':
      return new Response(request.body);
    default:
      return new Response('hello');
  }
}

async function* pieces(count: number, everyMs: number): AsyncGenerator<string> {
  for (let n = 0; n < count; n++) {
    yield 'piece ';
    await sleep(everyMs);
  }
}
