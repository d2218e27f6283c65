// Our client against a server that nobody of this project wrote: what it asks, and what it expects.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { H3Client, H3Error } from 'trilane';
import { patternSha256 } from './checks.js';
import { reportChecks } from './report.js';

const MIB = 1 << 20;
const DOWNLOAD = 20 * MIB;
const MANY = 200;

interface Place {
  readonly client: H3Client;
  at(path: string): string;
  /** Says that the server is to stop in its graceful way. */
  stop(): void;
}

function bytes(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => (at * 7) & 0xff);
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Looks at the server's count until it is another than before. */
async function counted({ client, at }: Place, path: string, run: () => Promise<void>): Promise<void> {
  const count = async (): Promise<number> => Number(await (await client.fetch(at(path))).text());
  const before = await count();
  await run();
  while ((await count()) === before) await sleep(20);
}

const CHECKS: Readonly<Record<string, (place: Place) => Promise<void>>> = {
  async GET({ client, at }) {
    const response = await client.fetch(at('/hello'));
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
    assert.equal(await response.text(), 'hello');
    assert.equal(response.connection.alpn, 'h3');
  },

  async 'a second request on the same connection'({ client, at }) {
    const response = await client.fetch(at('/hello'));
    await response.text();
    assert.equal(response.connection.reused, true);
    assert.equal(client.getStats().connectionsTotal, 1n);
  },

  async 'POST of 1 MiB'({ client, at }) {
    const body = bytes(MIB);
    const response = await client.fetch(at('/echo'), { method: 'POST', body });
    assert.equal(sha256(new Uint8Array(await response.arrayBuffer())), sha256(body));
  },

  async 'upload of 5 MiB in pieces'({ client, at }) {
    const piece = bytes(64 * 1024);
    let left = 80;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(piece.slice());
        else controller.close();
      },
    });
    const response = await client.fetch(at('/length'), { method: 'POST', body, duplex: 'half' });
    assert.equal(await response.text(), `${80 * piece.byteLength}`);
  },

  async 'download of 20 MiB'({ client, at }) {
    const response = await client.fetch(at('/download'));
    const hash = createHash('sha256');
    let length = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      length += chunk.byteLength;
    }
    assert.equal(length, DOWNLOAD);
    assert.equal(hash.digest('hex'), patternSha256(DOWNLOAD));
  },

  async trailers({ client, at }) {
    const response = await client.fetch(at('/trailers'));
    assert.equal(await response.text(), 'content');
    assert.equal((await response.trailers).get('x-sum'), 'f00d');
  },

  async HEAD({ client, at }) {
    const response = await client.fetch(at('/hello'), { method: 'HEAD' });
    assert.deepEqual([response.status, await response.text()], [200, '']);
  },

  async '404'({ client, at }) {
    const response = await client.fetch(at('/nowhere'));
    await response.text();
    assert.equal(response.status, 404);
  },

  async 'large headers, both ways'({ client, at }) {
    const value = 'x'.repeat(4_000);
    const response = await client.fetch(at('/headers'), { headers: { 'x-large': value } });
    await response.text();
    assert.equal(response.headers.get('x-large'), value);
  },

  async [`${MANY} requests at once`]({ client, at }) {
    const answers = await Promise.all(
      Array.from({ length: MANY }, async (_, n) => (await client.fetch(at(`/number/${n}`))).text()),
    );
    assert.deepEqual(
      answers,
      answers.map((_, n) => `${n}`),
    );
  },

  async 'a download that we cancel'(place) {
    await counted(place, '/aborted', async () => {
      const controller = new AbortController();
      const response = await place.client.fetch(place.at('/endless'), { signal: controller.signal });
      await response.body?.getReader().read();
      controller.abort();
    });
  },

  async 'an answer that the server breaks off'({ client, at }) {
    const broken = async (): Promise<string> => (await client.fetch(at('/broken'))).text();
    await assert.rejects(broken(), ({ cause }: Error) => cause instanceof H3Error);
    assert.equal(await (await client.fetch(at('/hello'))).text(), 'hello');
  },

  async 'a server that stops finishes what is under way'({ client, at, stop }) {
    const slow = client.fetch(at('/slow'));
    await sleep(100);
    stop();
    assert.equal(await (await slow).text(), 'slow');
  },
};

/** How many lines `checkServer` prints. */
export const CLIENT_CHECKS: number = Object.keys(CHECKS).length;

/** Runs every check against the server at `url`, whose certificate is not looked at, and prints a line for each. */
export async function checkServer(
  url: string,
  stop: () => void,
  print: (line: string) => unknown,
  skipped: Readonly<Record<string, string>>,
): Promise<void> {
  const client = new H3Client({
    insecure: true,
    maxConnectionsPerOrigin: 1,
    maxResponseHeaderBytes: 1 << 16,
  });
  const place: Place = { client, at: (path) => new URL(path, url).href, stop };
  try {
    const checks = Object.entries(CHECKS).map(([name, run]) => [name, () => run(place)] as const);
    await reportChecks(Object.fromEntries(checks), print, skipped);
  } finally {
    client.destroy();
  }
}
