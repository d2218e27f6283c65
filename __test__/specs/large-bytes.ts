import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type H3Request, isH3Error, Response, withTrailers } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { MEBIBYTE, pattern, patternHash } from '../harness/pattern.js';
import { rawGet } from '../harness/raw-request.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

type Body = ConstructorParameters<typeof Response>[0];

const H3_INTERNAL_ERROR = 0x102;
const H3_REQUEST_CANCELLED = 0x10c;
/** Above this bytes are read while they are sent. */
const COPIED_BYTES = MEBIBYTE;
/** More than flow control, socket and queues hold for a client that does not read. */
const LENGTH = 16 * MEBIBYTE;

function bytesOf(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pattern(length)) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

/** Runs `run` with a client that has begun to read `body` and then reads nothing; `request` is what the handler got. */
async function withStalled(
  body: Uint8Array,
  run: (stalled: Awaited<ReturnType<typeof rawGet>>, stage: Stage, request: H3Request) => Promise<void>,
): Promise<void> {
  const seen = deferred<H3Request>();
  const fetch = (request: H3Request): Response => {
    if (request.url.endsWith('/ping')) return new Response('pong');
    seen.resolve(request);
    return new Response(body as Body);
  };
  await withServer({ fetch }, async (stage) => {
    const slow = await stage.connect({ streamReceiveWindow: 64 * 1024 });
    const stalled = await rawGet(slow, stage.server.url);
    await stalled.read(1000);
    await run(stalled, stage, await soon('the handler', seen.promise));
  });
}

export const specs: Spec[] = [
  {
    name: 'bytes of every length around the bound arrive whole, with their length',
    async run() {
      const lengths = [-1, 0, 1].map((more) => COPIED_BYTES + more);
      lengths.push(COPIED_BYTES + 512 * 1024, 5_000_001);
      const fetch = ({ url }: H3Request): Response =>
        new Response(bytesOf(Number(new URL(url).pathname.slice(1))) as Body);
      await withServer({ fetch }, async ({ connection }) => {
        for (const length of lengths) {
          const answer = await connection.get(`/${length}`, { patienceMs: 20_000 });
          assert.equal(answer.error, null);
          assert.equal(answer.header('content-length'), `${length}`);
          assert.equal(answer.sha256, patternHash(length));
        }
      });
    },
  },
  {
    name: 'a view and an ArrayBuffer, many times at once, from the same memory',
    async run() {
      const bytes = bytesOf(3 * MEBIBYTE);
      const view = bytes.subarray(7, 2 * MEBIBYTE);
      const fetch = ({ url }: H3Request): Response =>
        new Response((url.endsWith('/view') ? view : bytes.buffer) as Body);
      await withServer({ fetch }, async ({ connection }) => {
        const [ofView, ...ofBuffer] = await Promise.all(
          ['/view', '/', '/', '/'].map((path) => connection.get(path, { patienceMs: 20_000 })),
        );
        assert.equal(ofView?.sha256, createHash('sha256').update(view).digest('hex'));
        for (const answer of ofBuffer) assert.equal(answer.sha256, patternHash(3 * MEBIBYTE));
      });
    },
  },
  {
    name: 'bytes up to the bound are those that were there when the Response was made',
    async run() {
      const fetch = (): Response => {
        const bytes = bytesOf(COPIED_BYTES);
        const response = new Response(bytes as Body);
        bytes.fill(0);
        return response;
      };
      await withServer({ fetch }, async ({ connection }) => {
        assert.equal((await connection.get()).sha256, patternHash(COPIED_BYTES));
      });
    },
  },
  {
    name: 'an answer to HEAD has the length of large bytes and none of them',
    async run() {
      const fetch = (): Response => new Response(new Uint8Array(LENGTH));
      await withServer({ fetch }, async ({ connection }) => {
        const answer = await connection.request({ method: 'HEAD' });
        assert.deepEqual([answer.header('content-length'), answer.length], [`${LENGTH}`, 0]);
      });
    },
  },
  {
    name: 'a content-length that is not that of large bytes is a 500, one that is goes out',
    async run() {
      const fetch = ({ url }: H3Request): Response => {
        const length = url.endsWith('/wrong') ? LENGTH - 1 : LENGTH;
        return new Response(new Uint8Array(LENGTH), { headers: { 'content-length': `${length}` } });
      };
      await withServer({ fetch }, async ({ connection, log }) => {
        assert.equal((await connection.get('/wrong')).status, 500);
        assert.equal((log.take()[0]?.[1] as { code?: unknown }).code, 'ERR_H3_RESPONSE_LENGTH');
        const answer = await connection.get('/', { patienceMs: 20_000 });
        assert.deepEqual([answer.header('content-length'), answer.length], [`${LENGTH}`, LENGTH]);
      });
    },
  },
  {
    name: 'trailers follow large bytes',
    async run() {
      const fetch = (): Response =>
        withTrailers(new Response(bytesOf(2 * MEBIBYTE) as Body), { 'x-end': 'here' });
      await withServer({ fetch }, async ({ connection }) => {
        const answer = await connection.get('/', { patienceMs: 20_000 });
        assert.equal(answer.sha256, patternHash(2 * MEBIBYTE));
        assert.deepEqual(answer.trailers, [['x-end', 'here']]);
      });
    },
  },
  {
    name: 'a Response of large bytes can be read instead of sent',
    async run() {
      const bytes = bytesOf(2 * MEBIBYTE);
      const read = new Uint8Array(await new Response(bytes as Body).arrayBuffer());
      assert.equal(createHash('sha256').update(read).digest('hex'), patternHash(2 * MEBIBYTE));
      assert.notEqual(read.buffer, bytes.buffer);
    },
  },
  {
    name: 'a client that gives large bytes up ends the request, and the connection lives on',
    run: () =>
      withStalled(bytesOf(LENGTH), async (stalled, { server, connection }, request) => {
        const { signal } = request;
        await stalled.stop(H3_REQUEST_CANCELLED);
        await until('the signal to abort', () => signal.aborted);
        assert.ok(isH3Error(signal.reason));
        await until('the request to be over', () => server.getStats().requestsActive === 0);
        assert.equal((await connection.get('/ping')).text, 'pong');
      }),
  },
  {
    name: 'a buffer that is transferred while it is sent is a reset and a log entry, never an answer that looks whole',
    run: () => {
      const bytes = bytesOf(LENGTH);
      return withStalled(bytes, async (stalled, { log, connection }) => {
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
        await stalled.read(LENGTH).catch(() => undefined);
        await until('the log entry', () => log.size > 0);
        const [entry] = log.take();
        assert.match(String(entry?.[1]), /transferred or resized/);
        assert.equal((entry?.[1] as { code?: unknown }).code, 'ERR_H3_RESPONSE_BODY');
        assert.equal((await connection.get('/ping')).text, 'pong');
      });
    },
  },
  {
    name: 'a buffer that is transferred before its Response is sent is a reset',
    async run() {
      const fetch = (): Response => {
        const bytes = bytesOf(2 * MEBIBYTE);
        const response = new Response(bytes as Body);
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
        return response;
      };
      await withServer({ fetch }, async ({ connection, log }) => {
        const { error, length } = await connection.get();
        assert.deepEqual([error?.kind, error?.code, length], ['reset', H3_INTERNAL_ERROR, 0]);
        await until('the log entry', () => log.size > 0);
        assert.match(String(log.take()[0]?.[1]), /transferred or resized/);
      });
    },
  },
  {
    name: 'a stop lets large bytes arrive whole, a forced one breaks them off',
    async run() {
      const fetch = (): Response => new Response(bytesOf(LENGTH) as Body);
      for (const force of [false, true]) {
        await withServer({ fetch }, async ({ connect, server }) => {
          // One whose window holds all of it may have it before a stop.
          const connection = await connect(force ? { streamReceiveWindow: 64 * 1024 } : {});
          const open = await connection.open();
          const begun = await open.read(1000);
          const stopped = server.stop(force);
          if (force) await soon('stop(true)', stopped);
          const { length, ended, error } = await open.read(undefined, 20_000);
          assert.ok(ended);
          if (force) {
            assert.equal(error?.kind, 'closed');
            assert.ok(begun.length + length < LENGTH);
          } else {
            assert.equal(error, null);
            assert.equal(begun.length + length, LENGTH);
          }
          await soon('stop()', stopped);
        });
      }
    },
  },
  {
    name: 'large bytes for a client that does not read are not held a second time',
    async run() {
      const bytes = bytesOf(64 * MEBIBYTE);
      await withStalled(bytes, async (_stalled, { connect, server }) => {
        const before = process.memoryUsage.rss();
        const slow = await connect({ streamReceiveWindow: 64 * 1024 });
        for (let count = 0; count < 8; count++) await (await rawGet(slow, server.url)).read(1000);
        await sleep(200);
        const grown = (process.memoryUsage.rss() - before) / MEBIBYTE;
        measuredMemory(grown * MEBIBYTE, 'eight clients do not read');
        // A copy for each would be 512 MiB.
        assert.ok(grown < 64, `the memory of the process grew by ${grown} MiB`);
      });
    },
  },
];
