// Bodies of requests and responses: every kind, streamed both ways, back-pressure, lengths.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { H3RequestInit } from '../../lib/client/outgoing-request.js';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { networkError, rejection } from '../harness/failure.js';

const MEBIBYTE = 1024 * 1024;

/** Says what came with the body, and gives it back. */
const echo: Answering = (request) =>
  new Response(request.body, {
    headers: {
      'x-type': request.headers.get('content-type') ?? 'none',
      'x-length': request.headers.get('content-length') ?? 'none',
    },
  });

/** Counts the bytes. */
const count: Answering = async (request) => {
  let size = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) size += chunk.byteLength;
  return Response.json({ size });
};

/** The same, of uploads that may end in a failure. */
const countWhole: Answering = async (request, server) => {
  try {
    return await count(request, server);
  } catch {
    return new Response(null, { status: 400 });
  }
};

/** A stream of chunks that are made when asked for. */
function pulled(
  chunks: number,
  size: number,
  made: { count: number } = { count: 0 },
): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull(controller) {
        if (made.count === chunks) {
          controller.close();
          return;
        }
        made.count += 1;
        controller.enqueue(new Uint8Array(size).fill(made.count));
      },
    },
    { highWaterMark: 0 },
  );
}

/** What `response` says of the request, and the body that came back. */
async function echoed(
  response: Response,
): Promise<[type: string | null, length: string | null, text: string]> {
  const { headers } = response;
  return [headers.get('x-type'), headers.get('x-length'), await response.text()];
}

function post(body: NonNullable<H3RequestInit['body']>, more: H3RequestInit = {}): H3RequestInit {
  return { method: 'POST', body, ...more };
}

export const specs = clientSpecs([
  {
    name: 'text, bytes, views, Blobs and parameters go out with their type and length',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const bytes = new TextEncoder().encode('-grüße-');
        for (const [body, type, length, text] of [
          ['grüße', 'text/plain;charset=UTF-8', '7', 'grüße'],
          ['', 'text/plain;charset=UTF-8', '0', ''],
          [bytes, 'none', '9', '-grüße-'],
          [bytes.subarray(1, 8), 'none', '7', 'grüße'],
          [new DataView(bytes.buffer, 1, 2), 'none', '2', 'gr'],
          [bytes.buffer.slice(0, 3), 'none', '3', '-gr'],
          [new Blob(['blob'], { type: 'a/b' }), 'a/b', '4', 'blob'],
          [new Blob(['blob']), 'none', '4', 'blob'],
          [
            new URLSearchParams({ a: 'b c' }),
            'application/x-www-form-urlencoded;charset=UTF-8',
            '5',
            'a=b+c',
          ],
        ] as const) {
          const response = await client.fetch(at('/'), post(body as H3RequestInit['body'] & object));
          assert.deepEqual(await echoed(response), [type, length, text]);
        }
      }),
  },
  {
    name: 'a content-type of the caller is kept',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const headers = { 'Content-Type': 'application/json' };
        const [type] = await echoed(await client.fetch(at('/'), post('{}', { headers })));
        assert.equal(type, 'application/json');
      }),
  },
  {
    name: 'a form arrives with its fields and files',
    run: () =>
      withClient(
        async (request) => {
          const form = await request.formData();
          const file = form.get('file') as File;
          return Response.json([form.get('field'), file.name, await file.text()]);
        },
        async ({ client, at }) => {
          const form = new FormData();
          form.append('field', 'välue');
          form.append('file', new File(['content'], 'a.txt'));
          const response = await client.fetch(at('/'), post(form));
          assert.deepEqual(await response.json(), ['välue', 'a.txt', 'content']);
        },
      ),
  },
  {
    name: 'a large Blob is streamed with its length',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const response = await client.fetch(at('/'), post(new Blob([new Uint8Array(MEBIBYTE)])));
        assert.equal(response.headers.get('x-length'), `${MEBIBYTE}`);
        assert.equal((await response.arrayBuffer()).byteLength, MEBIBYTE);
      }),
  },
  {
    name: 'streams, async generators and Node readables are streamed',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const bodies = [
          new Blob(['abc']).stream(),
          (async function* () {
            yield 'a';
            yield new TextEncoder().encode('bc');
          })(),
          Readable.from(['a', 'bc']),
        ] as H3RequestInit['body'][];
        for (const body of bodies) {
          const response = await client.fetch(
            at('/'),
            post(body as object as ReadableStream, { duplex: 'half' }),
          );
          assert.deepEqual(await echoed(response), ['none', 'none', 'abc']);
        }
      }),
  },
  {
    name: 'the response is there while the body goes on, and each side hears the other',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const input = new TransformStream<Uint8Array, Uint8Array>();
        const writer = input.writable.getWriter();
        const sent = writer.write(new Uint8Array([1]));
        const response = await soon(
          'the head',
          client.fetch(at('/'), post(input.readable, { duplex: 'full' })),
        );
        const reader = response.body?.getReader();
        assert.deepEqual(
          [...((await soon('the first byte', reader?.read() as Promise<{ value: Uint8Array }>)).value ?? [])],
          [1],
        );
        await sent;
        const second = writer.write(new Uint8Array([2]));
        assert.deepEqual(
          [
            ...((await soon('the second byte', reader?.read() as Promise<{ value: Uint8Array }>)).value ??
              []),
          ],
          [2],
        );
        await second;
        await writer.close();
        assert.equal((await soon('the end', reader?.read() as Promise<{ done: boolean }>)).done, true);
      }),
  },
  {
    name: 'trailers of a request come behind its body, streamed or whole, and a function is called at the end',
    run: () =>
      withClient(
        async (request) => {
          const text = await request.text();
          return Response.json([text, request.headers.get('content-length'), [...(await request.trailers)]]);
        },
        async ({ client, at }) => {
          let read = false;
          const stream = new ReadableStream<Uint8Array>({
            pull(controller) {
              controller.enqueue(new TextEncoder().encode('abc'));
              controller.close();
              read = true;
            },
          });
          const late = (): Record<string, string> => ({ 'x-read': `${read}` });
          const streamed = await client.fetch(at('/'), post(stream, { duplex: 'half', trailers: late }));
          assert.deepEqual(await streamed.json(), ['abc', null, [['x-read', 'true']]]);
          const whole = await client.fetch(
            at('/'),
            post('abc', { trailers: Promise.resolve({ 'x-a': 'b' }) }),
          );
          assert.deepEqual(await whole.json(), ['abc', '3', [['x-a', 'b']]]);
        },
      ),
  },
  {
    name: 'a producer is asked no further than the server reads',
    run: () => {
      const go = deferred();
      const slow: Answering = async (request) => {
        await go.promise;
        let size = 0;
        for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>)
          size += chunk.byteLength;
        return Response.json({ size });
      };
      return withClient(
        slow,
        async ({ client, at }) => {
          const made = { count: 0 };
          const sending = client.fetch(at('/'), post(pulled(512, 65_536, made), { duplex: 'half' }));
          await until('the first chunks', () => made.count > 0);
          let last = -1;
          while (last !== made.count) {
            last = made.count;
            await new Promise((resolve) => setTimeout(resolve, 300));
          }
          // 4 MiB that the server lets come, and what this side may keep until it is acknowledged.
          assert.ok(made.count < 256, `${made.count} chunks of 64 KiB`);
          go.resolve();
          assert.deepEqual(await (await soon('the response', sending)).json(), { size: 512 * 65_536 });
        },
        { server: { limits: { streamReceiveWindowBytes: 256 * 1024 } } },
      );
    },
  },
  {
    name: 'a response is pulled no further than it is read',
    run: () => {
      const made = { count: 0 };
      return withClient(
        () => new Response(pulled(512, 65_536, made)),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          let last = -1;
          while (last !== made.count) {
            last = made.count;
            await new Promise((resolve) => setTimeout(resolve, 300));
          }
          assert.ok(made.count < 400, `${made.count} chunks of 64 KiB`);
          assert.equal((await response.arrayBuffer()).byteLength, 512 * 65_536);
        },
      );
    },
  },
  {
    name: 'large bodies arrive whole, both ways at once',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const sizes = await Promise.all(
          Array.from({ length: 3 }, async () => {
            const response = await client.fetch(at('/'), post(pulled(32, 65_536), { duplex: 'half' }));
            return (await response.arrayBuffer()).byteLength;
          }),
        );
        assert.deepEqual(sizes, [2 * MEBIBYTE, 2 * MEBIBYTE, 2 * MEBIBYTE]);
      }),
  },
  {
    name: 'a stream shorter or longer than its content-length fails the request',
    run: () =>
      withClient(countWhole, async ({ client, at }) => {
        for (const length of ['5', '7']) {
          const error = (await rejection(
            client.fetch(
              at('/'),
              post(pulled(2, 3), { duplex: 'half', headers: { 'content-length': length } }),
            ),
          )) as Error;
          assert.equal(error.message, 'fetch failed');
          assert.equal((error.cause as { code?: unknown }).code, 'ERR_H3_CLIENT_REQUEST');
        }
        const right = { duplex: 'half', headers: { 'content-length': '6' } } as const;
        assert.deepEqual(await (await client.fetch(at('/'), post(pulled(2, 3), right))).json(), { size: 6 });
      }),
  },
  {
    name: 'what a producer throws is the cause of the failure',
    run: () =>
      withClient(countWhole, async ({ client, at }) => {
        const failing = async function* (): AsyncGenerator<string> {
          yield 'a';
          throw new RangeError('producer');
        };
        const error = (await rejection(client.fetch(at('/'), post(failing(), { duplex: 'half' })))) as Error;
        assert.deepEqual([error.message, (error.cause as Error).message], ['fetch failed', 'producer']);
      }),
  },
  {
    name: 'a chunk that is no bytes is the cause of a failure, and its producer is told to stop',
    run: () =>
      withClient(countWhole, async ({ client, at }) => {
        const stopped = deferred<unknown>();
        const body = new ReadableStream({
          pull: (controller) => controller.enqueue(5 as unknown as Uint8Array),
          cancel: (reason) => stopped.resolve(reason),
        });
        const error = (await rejection(client.fetch(at('/'), post(body, { duplex: 'half' })))) as Error;
        assert.equal(error.message, 'fetch failed');
        await soon('cancel()', stopped.promise);
      }),
  },
  {
    name: 'a response that breaks off is an error with its cause, for the body and for the trailers',
    run: () =>
      withClient(
        () => {
          let pulls = 0;
          return new Response(
            new ReadableStream({
              async pull(controller) {
                pulls += 1;
                if (pulls === 1) controller.enqueue(new Uint8Array(10));
                else {
                  await new Promise((resolve) => setTimeout(resolve, 100));
                  controller.error(new Error('handler'));
                }
              },
            }),
          );
        },
        async ({ client, log, at }) => {
          const response = await client.fetch(at('/'));
          const { trailers } = response;
          const cause = await networkError(response.text(), 'ERR_H3_STREAM_RESET', 'terminated');
          assert.deepEqual([cause.remote, cause.wireCode], [true, 0x102]);
          assert.equal(((await rejection(trailers)) as { code?: unknown }).code, 'ERR_H3_STREAM_RESET');
          assert.equal(log.take().length, 1);
        },
      ),
  },
  {
    name: 'a body that is cancelled stops the server',
    run: () => {
      const stopped = deferred();
      return withClient(
        () =>
          new Response(
            new ReadableStream({
              pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
              cancel: () => stopped.resolve(),
            }),
          ),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          const reader = response.body?.getReader();
          await reader?.read();
          await reader?.cancel();
          await soon('the end of the producer', stopped.promise);
        },
      );
    },
  },
]);
