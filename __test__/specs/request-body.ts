import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type H3Request, isH3Error } from 'trilane';
import type { Connection } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { getHeaders } from '../harness/raw-request.js';
import type { RawStream } from '../harness/raw-stream.js';
import { REQUEST_KINDS, type RequestKind, withServer } from '../harness/stage.js';
import { DATA, frame } from '../harness/wire.js';
import { patternSha256 } from '../interop/checks.js';
import type { Spec } from './spec.js';

const H3_NO_ERROR = 0x100;
const H3_MESSAGE_ERROR = 0x10e;
const MEGABYTE = 1_000_000;
/** Longer where there is time for it. */
const STRESS = process.env['H3_STRESS'] === '1';
const UPLOAD_BYTES = (STRESS ? 200 : 20) * MEGABYTE;
const SLOW_SECONDS = STRESS ? 5 : 2;
const RSS_GROWTH_BYTES = 16 * 1024 * 1024;

/** The same fact for both kinds of request. */
function both(name: string, run: (request: RequestKind) => Promise<void>): Spec[] {
  return REQUEST_KINDS.map((request) => ({ name: `${request}: ${name}`, run: () => run(request) }));
}

/** A POST whose stream a spec has in its hand, with its head sent. */
async function beginPost(
  connection: Connection,
  url: URL,
  fields: readonly [string, string][] = [],
): Promise<RawStream> {
  const head = getHeaders(url, url.pathname).map(([name, value]): [string, string] => [
    name,
    name === ':method' ? 'POST' : value,
  ]);
  const stream = await connection.openStream();
  await stream.write({ headers: [...head, ...fields] });
  return stream;
}

function data(length: number): Uint8Array {
  return frame(DATA, new Uint8Array(length).fill(7));
}

export const specs: Spec[] = [
  {
    name: `a reader of 1 MB a second slows an upload of ${UPLOAD_BYTES / MEGABYTE} MB down, in flat memory, and loses nothing`,
    async run() {
      const read = deferred<{ slowly: number; grown: number }>();
      const fetch = async (request: H3Request): Promise<Response> => {
        if (request.method === 'GET') return new Response('ready');
        const hash = createHash('sha256');
        const began = performance.now();
        const before = process.memoryUsage.rss();
        let [length, highest, slowly] = [0, before, 0];
        let isSlow = !request.headers.has('x-warm');
        for await (const chunk of request.body ?? []) {
          hash.update(chunk as Uint8Array);
          length += (chunk as Uint8Array).byteLength;
          if (!isSlow) continue;
          highest = Math.max(highest, process.memoryUsage.rss());
          slowly = length;
          const ahead = began + (length / MEGABYTE) * 1000 - performance.now();
          if (ahead > 0) await sleep(ahead);
          isSlow = performance.now() - began < SLOW_SECONDS * 1000;
        }
        if (slowly > 0) read.resolve({ slowly, grown: highest - before });
        return Response.json([length, hash.digest('hex')]);
      };
      await withServer({ fetch, mode: 'streaming' }, async ({ connection, server }) => {
        await connection.get();
        // Once before, so that what grows with the first use only is not counted.
        await connection.request({ method: 'POST', bodySize: 4 * MEGABYTE, headers: [['x-warm', '1']] });
        const { bodyBytesReceived: warm } = server.getStats();
        const upload = connection.request({ method: 'POST', bodySize: UPLOAD_BYTES, patienceMs: 60_000 });
        await until('the upload to begin', () => server.getStats().bodyBytesReceived > warm);
        await sleep((SLOW_SECONDS * 1000) / 2);
        const taken = server.getStats().bodyBytesReceived - warm;
        assert.ok(taken < BigInt((SLOW_SECONDS / 2 + 1) * MEGABYTE), `${taken} bytes were taken half way`);
        assert.deepEqual((await upload).json, [UPLOAD_BYTES, patternSha256(UPLOAD_BYTES)]);
        const { slowly, grown } = await read.promise;
        assert.ok(slowly < (SLOW_SECONDS + 1) * MEGABYTE, `${slowly} bytes were read slowly`);
        measuredMemory(grown, 'the upload was read slowly');
        assert.ok(grown < RSS_GROWTH_BYTES, `${grown} bytes of memory were taken meanwhile`);
      });
    },
  },
  ...both('one read hands over all that has arrived, up to 256 KiB', async (request) => {
    const arrived = deferred();
    const fetch = async (incoming: H3Request): Promise<Response> => {
      const reader = incoming.body?.getReader();
      const sizes: number[] = [];
      await arrived.promise;
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) return Response.json(sizes);
        sizes.push((value as Uint8Array).byteLength);
      }
    };
    await withServer({ request, fetch, mode: 'streaming' }, async ({ connection, server }) => {
      const stream = await beginPost(connection, server.url);
      await stream.write({ bytes: data(200_000) });
      const large = await beginPost(connection, server.url);
      await large.write({ bytes: data(700_000) });
      await sleep(200);
      arrived.resolve();
      await stream.write({ bytes: new Uint8Array(), fin: true });
      await large.write({ bytes: new Uint8Array(), fin: true });
      const sizes = async (answer: RawStream): Promise<number[]> => {
        const { bytes } = await answer.read();
        return JSON.parse(bytes.subarray(bytes.lastIndexOf('[')).toString()) as number[];
      };
      assert.deepEqual(await sizes(stream), [200_000]);
      const pieces = await sizes(large);
      assert.equal(
        pieces.reduce((sum, size) => sum + size, 0),
        700_000,
      );
      assert.equal(pieces.length, 3, `${pieces}`);
      assert.ok(Math.max(...pieces) < 320 * 1024, `${pieces}`);
    });
  }),
  ...(['buffered', 'streaming'] as const).flatMap((mode) =>
    (
      [
        ['shorter', '10', 5],
        ['longer', '4', 5],
      ] as const
    ).map(([how, announced, sent]) => ({
      // RFC 9114 §4.1.2
      name: `${mode}: a body ${how} than its content-length is malformed, and the connection lives`,
      async run() {
        const codes: unknown[] = [];
        const fetch = async (request: H3Request): Promise<Response> => {
          if (request.method === 'GET') return new Response('alive');
          const end = await request.text().catch((error: unknown) => isH3Error(error) && error.code);
          codes.push(end);
          return new Response('never');
        };
        await withServer({ fetch, mode }, async ({ connection, server }) => {
          const stream = await beginPost(connection, server.url, [['content-length', announced]]);
          await stream.write({ bytes: data(sent), fin: true });
          assert.equal((await stream.read()).resetCode, H3_MESSAGE_ERROR);
          assert.equal((await connection.get()).text, 'alive');
          const expected = mode === 'streaming' ? ['ERR_H3_PROTOCOL'] : [];
          await until('the body to end', () => codes.length === expected.length);
          assert.deepEqual(codes, expected);
          assert.equal(server.getStats().requestsMalformed, 1n);
        });
      },
    })),
  ),
  ...both('a handler may answer first and read the body afterwards', async (request) => {
    const rest = deferred<number>();
    const fetch = async (incoming: H3Request): Promise<Response> => {
      const reader = incoming.body?.getReader();
      const first = await reader?.read();
      void (async () => {
        let length = (first?.value as Uint8Array).byteLength;
        for (;;) {
          const { done, value } = (await reader?.read()) ?? { done: true };
          if (done) break;
          length += (value as Uint8Array).byteLength;
        }
        rest.resolve(length);
      })();
      return new Response('early');
    };
    await withServer({ request, fetch, mode: 'streaming' }, async ({ connection, server }) => {
      const stream = await beginPost(connection, server.url);
      await stream.write({ bytes: data(1000) });
      const answer = await stream.read();
      assert.ok(answer.fin && answer.bytes.toString('latin1').endsWith('early'));
      await stream.write({ bytes: data(2_000_000) }, 20_000);
      await stream.write({ bytes: new Uint8Array(), fin: true });
      assert.equal(await soon('the rest of the body', rest.promise), 2_001_000);
    });
  }),
  ...both(
    'cancel() and the end of a loop over the body tell the client to stop with H3_NO_ERROR',
    async (request) => {
      const fetch = async (incoming: H3Request): Promise<Response> => {
        if (incoming.url.endsWith('/cancel')) await incoming.body?.cancel();
        else for await (const _ of incoming.body ?? []) break;
        return new Response('enough');
      };
      await withServer({ request, fetch, mode: 'streaming' }, async ({ connection, server }) => {
        for (const path of ['/cancel', '/break']) {
          const stream = await beginPost(connection, new URL(path, server.url));
          // What is cancelled at once may be stopped before more of it can be written.
          if (path === '/break') await stream.write({ bytes: data(100) });
          assert.equal(await stream.stopped(), H3_NO_ERROR, path);
          const { bytes, fin } = await stream.read();
          assert.ok(fin && bytes.toString('latin1').endsWith('enough'), path);
        }
      });
    },
  ),
  ...both(
    'a handler that fails half way through the body is answered 500, and the rest is declined',
    async (request) => {
      const fetch = async (incoming: H3Request): Promise<Response> => {
        await incoming.body?.getReader().read();
        throw new Error('half way');
      };
      await withServer({ request, fetch, mode: 'streaming' }, async ({ connection, log, server }) => {
        const answer = await connection.request({ method: 'POST', bodySize: 5 * MEGABYTE });
        assert.deepEqual([answer.status, answer.text], [500, 'Internal Server Error']);
        assert.equal(log.take().length, 1);
        assert.equal(server.getStats().handlerErrors, 1n);
      });
    },
  ),
  ...both('cancel() does not wait for a read that waits for the client', async (request) => {
    const fetch = async (incoming: H3Request): Promise<Response> => {
      const reader = incoming.body?.getReader();
      await reader?.read();
      const pending = reader?.read();
      await reader?.cancel();
      assert.equal((await pending)?.done, true);
      return new Response('enough');
    };
    await withServer({ request, fetch, mode: 'streaming' }, async ({ connection, server }) => {
      const stream = await beginPost(connection, server.url);
      await stream.write({ bytes: data(100) });
      assert.equal(await stream.stopped(), H3_NO_ERROR);
      assert.ok((await stream.read()).bytes.toString('latin1').endsWith('enough'));
    });
  }),
  {
    name: 'a body that is left half read behind a complete answer is declined after some seconds; one that is read is not',
    async run() {
      const ends = new Map<string, unknown>();
      const fetch = async (incoming: H3Request): Promise<Response> => {
        const { pathname } = new URL(incoming.url);
        const reader = incoming.body?.getReader();
        await reader?.read();
        const readOn = async (): Promise<void> => {
          try {
            ends.set(pathname, (await reader?.read())?.done);
          } catch (error) {
            ends.set(pathname, isH3Error(error) && error.code);
          }
        };
        setTimeout(readOn, pathname === '/left' ? 6000 : 0);
        return new Response('early');
      };
      await withServer({ fetch, mode: 'streaming' }, async ({ connection, server }) => {
        const left = await beginPost(connection, new URL('/left', server.url));
        const read = await beginPost(connection, new URL('/read', server.url));
        await left.write({ bytes: data(100) });
        await read.write({ bytes: data(100) });
        assert.equal(await left.stopped(), H3_NO_ERROR);
        await read.write({ bytes: data(100), fin: true });
        await until('both to end', () => ends.size === 2);
        assert.deepEqual(Object.fromEntries(ends), { '/left': 'ERR_H3_STREAM_RESET', '/read': false });
      });
    },
  },
  {
    name: 'a graceful stop waits for a body that is still being read',
    async run() {
      const fetch = async (request: H3Request): Promise<Response> => new Response(await request.text());
      await withServer({ fetch, mode: 'streaming' }, async ({ connection, server }) => {
        const open = await connection.open({ method: 'POST', body: 'one ', keepOpen: true, read: 'none' });
        await until('the body to begin', () => server.getStats().bodyBytesReceived > 0n);
        const stopped = server.stop();
        await sleep(50);
        await open.send('two', true);
        assert.equal((await open.read()).text, 'one two');
        await soon('stop()', stopped);
      });
    },
  },
];
