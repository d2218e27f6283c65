// Content codings (RFC 9110 §8.4) undone as fetch does it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import * as zlib from 'node:zlib';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { soon, until } from '../harness/deadline.js';
import { networkError } from '../harness/failure.js';
import { measuredMemory } from '../harness/measured.js';
import { RUNTIME } from '../harness/runtime.js';

type Coder = (content: Uint8Array) => Uint8Array;

const { zstdCompressSync } = zlib as { zstdCompressSync?: Coder };
/** Random bytes do not fit into one chunk of anything. */
const CONTENT = new Uint8Array(randomBytes(300_000));
const CODERS: readonly (readonly [coding: string, code: Coder])[] = [
  ['gzip', zlib.gzipSync],
  ['x-gzip', zlib.gzipSync],
  ['GZIP', zlib.gzipSync],
  ['deflate', zlib.deflateSync],
  ['deflate', zlib.deflateRawSync],
  ['br', zlib.brotliCompressSync],
  ['gzip, br', (content) => zlib.brotliCompressSync(zlib.gzipSync(content))],
  ['identity, gzip', zlib.gzipSync],
  ...(zstdCompressSync === undefined ? [] : [['zstd', zstdCompressSync] as const]),
];

/** Whether the decoders of this runtime notice that content ends in the middle: see `decode`. */
function noticed(coding: string): boolean {
  return !(
    (RUNTIME === 'deno' && (coding === 'br' || coding === 'zstd')) ||
    (RUNTIME === 'bun' && coding === 'zstd') ||
    (RUNTIME === 'node' && coding === 'zstd' && Number.parseInt(process.versions.node, 10) < 24)
  );
}

/** Answers with `content`, which is said to be coded. */
function coded(coding: string, content: Uint8Array): Answering {
  const headers = { 'content-encoding': coding, 'content-length': `${content.byteLength}` };
  return () => new Response(content, { headers });
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

export const specs = clientSpecs([
  ...CODERS.map(([coding, code], index) => ({
    name: `${coding} is undone, its headers stay (${index})`,
    run: () => {
      const compressed = code(CONTENT);
      return withClient(coded(coding, compressed), async ({ client, at }) => {
        const response = await client.fetch(at('/'));
        assert.equal(response.headers.get('content-encoding'), coding);
        assert.equal(response.headers.get('content-length'), `${compressed.byteLength}`);
        assert.deepEqual(await bytesOf(response), CONTENT);
      });
    },
  })),
  {
    name: 'a coding that is not known leaves the content as it is',
    run: () =>
      withClient(coded('gzip, lzma', new Uint8Array([1, 2, 3])), async ({ client, at }) => {
        assert.deepEqual([...(await bytesOf(await client.fetch(at('/'))))], [1, 2, 3]);
      }),
  },
  {
    name: 'decompress: false asks for no coding and undoes none',
    run: () =>
      withClient(
        (request) =>
          new Response(zlib.gzipSync('text'), {
            headers: {
              'content-encoding': 'gzip',
              'x-asked': request.headers.get('accept-encoding') ?? 'nothing',
            },
          }),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          assert.equal(response.headers.get('x-asked'), 'nothing');
          assert.equal(zlib.gunzipSync(await bytesOf(response)).toString(), 'text');
        },
        { client: { decompress: false } },
      ),
  },
  {
    name: 'HEAD, 304 and an empty body have nothing to undo',
    run: () =>
      withClient(
        (request) => {
          const status = request.url.endsWith('304') ? 304 : 200;
          return new Response(status === 304 ? null : '', {
            status,
            headers: { 'content-encoding': 'gzip' },
          });
        },
        async ({ client, at }) => {
          assert.equal(await (await client.fetch(at('/'), { method: 'HEAD' })).text(), '');
          assert.equal(await (await client.fetch(at('/304'))).text(), '');
          assert.equal(await (await client.fetch(at('/'))).text(), '');
        },
      ),
  },
  ...CODERS.filter(([coding]) => !coding.includes(',') && noticed(coding)).map(([coding, code], index) => ({
    name: `${coding} content that ends in the middle is an error, not a shorter text (${index})`,
    run: () =>
      withClient(coded(coding, code(CONTENT).subarray(0, -20)), async ({ client, at }) => {
        const response = await client.fetch(at('/'));
        await networkError(response.arrayBuffer(), 'ERR_H3_CLIENT_BODY_TRUNCATED', 'terminated');
      }),
  })),
  {
    name: 'content that is not what its coding says is an error, and the server is told to stop',
    run: () => {
      let cancelled = false;
      const endless: Answering = () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(10_000).fill(7)),
            cancel() {
              cancelled = true;
            },
          }),
          { headers: { 'content-encoding': 'gzip' } },
        );
      return withClient(endless, async ({ client, server, at }) => {
        const response = await client.fetch(at('/'));
        await networkError(response.arrayBuffer(), 'ERR_H3_CLIENT_DECODE', 'terminated');
        await soon('the end of the request', untilIdle(server));
        await until('the cancel of the producer', () => cancelled);
      });
    },
  },
  {
    name: 'more than five codings are refused',
    run: () =>
      withClient(coded('gzip, gzip, gzip, gzip, gzip, gzip', new Uint8Array(10)), async ({ client, at }) => {
        await networkError(client.fetch(at('/')), 'ERR_H3_CLIENT_DECODE');
      }),
  },
  {
    name: 'a bomb that is read slowly does not fill the memory',
    run: () => {
      // 512 MiB of zeros, in half a megabyte.
      const bomb = zlib.gzipSync(Buffer.alloc(512 * 1024 * 1024));
      return withClient(coded('gzip', bomb), async ({ client, at }) => {
        const reader = (await client.fetch(at('/'))).body?.getReader();
        assert.ok(reader !== undefined);
        await reader.read();
        const before = process.memoryUsage().rss;
        await new Promise((resolve) => setTimeout(resolve, 300));
        for (let index = 0; index < 20; index++) await reader.read();
        const grown = process.memoryUsage().rss - before;
        measuredMemory(grown, 'its first pieces were read');
        assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes more`);
        await reader.cancel();
      });
    },
  },
  {
    name: 'a handler that passes a response on passes on content and coding that fit each other',
    async run() {
      for (const decompress of [true, false]) {
        await withClient(
          coded('gzip', zlib.gzipSync('text')),
          async ({ client, at }) => {
            await withClient(
              () => client.fetch(at('/')),
              async (front) => {
                const response = await front.client.fetch(front.at('/'));
                assert.equal(response.headers.get('content-encoding'), decompress ? null : 'gzip');
                assert.equal(await response.text(), 'text');
              },
            );
          },
          { client: { decompress } },
        );
      }
    },
  },
]);

async function untilIdle(server: { getStats(): { readonly requestsActive: number } }): Promise<void> {
  while (server.getStats().requestsActive > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}
