import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { reportChecks } from './report.js';

/** What a foreign client got. */
export interface ForeignAnswer {
  readonly status: number;
  header(name: string): string | null;
  readonly body: Uint8Array;
}

/** Sends a request and reads the whole answer. */
type Send = (method: string, path: string, body?: Uint8Array) => Promise<ForeignAnswer>;

/** A client that nobody of this project wrote. What it cannot do it leaves out, and says why in `skipped`. */
export interface ForeignClient {
  readonly request: Send;
  /** Begins a GET, reads something of the answer and gives it up. */
  cancel(path: string): Promise<void>;
  /** Sends a body with the trailer `x-sum`, and returns the one of the answer. */
  postWithTrailer?(path: string, body: Uint8Array, sum: string): Promise<string | null>;
  readonly skipped?: Readonly<Record<string, string>>;
}

const MANY = 100;

/** SHA-256 of `length` bytes of which that at offset n is n mod 251. */
export function patternSha256(length: number): string {
  return sha256(Uint8Array.from({ length }, (_, at) => at % 251));
}

const CHECKS: Readonly<Record<string, (client: ForeignClient) => Promise<void>>> = {
  async GET({ request }) {
    const answer = await request('GET', '/hello');
    assert.equal(answer.status, 200);
    assert.equal(text(answer), 'hello');
    assert.match(answer.header('content-type') ?? '', /^text\/plain/);
  },

  async 'POST of 100 KB'({ request }) {
    const body = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7) & 0xff);
    const answer = await request('POST', '/echo', body);
    assert.equal(answer.status, 200);
    assert.equal(sha256(answer.body), sha256(body));
  },

  async 'download of 1 MiB'({ request }) {
    const answer = await request('GET', '/download');
    assert.equal(answer.body.byteLength, 1 << 20);
    assert.equal(sha256(answer.body), patternSha256(1 << 20));
  },

  async HEAD({ request }) {
    const answer = await request('HEAD', '/hello');
    assert.equal(answer.status, 200);
    assert.equal(answer.header('content-length'), '5');
    assert.equal(answer.body.byteLength, 0);
  },

  async '404'({ request }) {
    assert.equal((await request('GET', '/nowhere')).status, 404);
  },

  async [`${MANY} requests at once`]({ request }) {
    const answers = await Promise.all(Array.from({ length: MANY }, (_, n) => request('GET', `/number/${n}`)));
    for (const [n, answer] of answers.entries()) assert.equal(text(answer), `${n}`);
  },

  async 'a file'({ request }) {
    const answer = await request('GET', '/file');
    const file = readFileSync(new URL('../../package-lock.json', import.meta.url));
    assert.equal(answer.status, 200);
    assert.equal(answer.header('content-type'), 'application/json');
    assert.equal(answer.header('content-length'), `${file.byteLength}`);
    assert.equal(sha256(answer.body), sha256(file));
  },

  async 'streamed answer'({ request }) {
    assert.equal(
      text(await request('GET', '/stream')),
      Array.from({ length: 20 }, (_, n) => `${n}\n`).join(''),
    );
  },

  async 'interim answer'({ request }) {
    const answer = await request('GET', '/hint');
    assert.deepEqual([answer.status, text(answer)], [200, 'hinted']);
  },

  async trailers(client) {
    const body = new TextEncoder().encode('content');
    assert.equal(await client.postWithTrailer?.('/trailers', body, 'f00d'), 'f00d');
  },

  async 'cancelled download'(client) {
    const aborted = async (): Promise<number> => Number(text(await client.request('GET', '/aborted')));
    const before = await aborted();
    await client.cancel('/endless');
    while ((await aborted()) === before) await sleep(20);
  },
};

/** How many lines `runChecks` prints. */
export const REQUEST_CHECKS: number = Object.keys(CHECKS).length;

/** Runs every check and prints a line for each. */
export async function runChecks(client: ForeignClient): Promise<void> {
  const checks = Object.entries(CHECKS).map(([name, run]) => [name, () => run(client)] as const);
  const print = (line: string): unknown => process.stdout.write(`${line}\n`);
  await reportChecks(Object.fromEntries(checks), print, client.skipped);
}

function text(answer: ForeignAnswer): string {
  return new TextDecoder().decode(answer.body);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
