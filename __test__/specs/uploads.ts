import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type H3Request, isH3Error } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { REQUEST_KINDS, type Stage, withServer } from '../harness/stage.js';
import { patternSha256 } from '../interop/checks.js';
import type { Spec } from './spec.js';

const H3_NO_ERROR = 0x100;

/** The same fact for both kinds of request, with a server whose bodies come as they arrive. */
function each(
  name: string,
  fetch: (request: H3Request) => Response | Promise<Response>,
  run: (stage: Stage) => Promise<void>,
  limits = {},
): Spec[] {
  return REQUEST_KINDS.map((request) => ({
    name: `${request}: ${name}`,
    run: () => withServer({ request, fetch, mode: 'streaming', maxBodyBytes: 1000, limits }, run),
  }));
}

/** Reads a body to its end: bytes and SHA-256. */
async function digest(body: Request['body']): Promise<Response> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of body ?? []) {
    hash.update(chunk as Uint8Array);
    length += (chunk as Uint8Array).byteLength;
  }
  return Response.json([length, hash.digest('hex')]);
}

/** A handler that reads until something ends the body, and keeps what did. */
class Reader {
  received = 0;
  readonly #began = deferred();
  readonly #ended = deferred<unknown>();

  readonly fetch = async (request: H3Request): Promise<Response> => {
    try {
      for await (const chunk of request.body ?? []) {
        this.received += (chunk as Uint8Array).byteLength;
        this.#began.resolve();
      }
      this.#ended.resolve(null);
    } catch (error) {
      this.#ended.resolve(error);
    }
    return new Response('read');
  };

  began(): Promise<void> {
    return soon('the first bytes', this.#began.promise);
  }

  /** What ended the body: an error, or null for a clean end. */
  ended(): Promise<unknown> {
    return soon('the end of the body', this.#ended.promise);
  }
}

/** A fact about how an unfinished body ends: never as if it were whole, and with this code. */
function endsWith(name: string, code: string, act: (stage: Stage) => Promise<void>, limits = {}): Spec[] {
  return REQUEST_KINDS.map((request) => ({
    name: `${request}: ${name} ends the body with ${code}`,
    async run() {
      const reader = new Reader();
      const open = async (stage: Stage): Promise<void> => {
        await stage.connection.open({ method: 'POST', body: 'begun', keepOpen: true, read: 'none' });
        await reader.began();
        await act(stage);
        const error = await reader.ended();
        assert.ok(isH3Error(error), `it ended with ${String(error)}`);
        assert.equal(error.code, code);
      };
      await withServer({ request, fetch: reader.fetch, mode: 'streaming', limits }, open);
    },
  }));
}

export const specs: Spec[] = [
  ...each(
    'a body far above maxBodyBytes arrives whole',
    (request) => digest(request.body),
    async ({ connection }) => {
      const answer = await connection.request({ method: 'POST', bodySize: 5_000_000, patienceMs: 20_000 });
      assert.deepEqual(answer.json, [5_000_000, patternSha256(5_000_000)]);
    },
  ),
  ...each(
    'three bodies of 2 MB at once are not mixed up',
    (request) => digest(request.body),
    async ({ connection }) => {
      const sizes = [2_000_000, 2_000_001, 2_000_002];
      const answers = await Promise.all(
        sizes.map((bodySize) => connection.request({ method: 'PUT', bodySize, patienceMs: 20_000 })),
      );
      for (const [n, answer] of answers.entries()) {
        assert.deepEqual(answer.json, [sizes[n], patternSha256(sizes[n] as number)]);
      }
    },
  ),
  ...each(
    'text(), arrayBuffer() and json() wait for the end',
    async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === '/json') return Response.json(await request.json());
      if (pathname === '/text') return new Response(await request.text());
      return new Response(`${(await request.arrayBuffer()).byteLength}`);
    },
    async ({ connection }) => {
      const slowly = { method: 'POST', chunkSize: 2, chunkDelayMs: 2 };
      assert.deepEqual((await connection.request({ ...slowly, path: '/json', body: '{"a":["ü"]}' })).json, {
        a: ['ü'],
      });
      assert.equal(
        (await connection.request({ ...slowly, path: '/text', body: 'grüße 😀' })).text,
        'grüße 😀',
      );
      assert.equal((await connection.request({ ...slowly, path: '/buffer', body: '12345' })).text, '5');
    },
  ),
  ...each(
    'the handler runs before the body is complete, and an answer may be streamed back meanwhile',
    (request) => new Response(request.body as ConstructorParameters<typeof Response>[0]),
    async ({ connection }) => {
      const open = await connection.open({ method: 'POST', body: 'one', keepOpen: true, read: 'headers' });
      assert.equal((await open.read(3)).text, 'one');
      await open.send('two');
      assert.equal((await open.read(3)).text, 'two');
      await open.send('three', true);
      const end = await open.read();
      assert.equal(end.text, 'three');
      assert.ok(end.ended);
    },
  ),
  ...each(
    'trailers behind the body do not belong to it',
    async (request) => new Response(await request.text()),
    async ({ connection }) => {
      const trailers = [['x-checksum', '1234']] as const;
      const answer = await connection.request({ method: 'POST', body: 'content', trailers });
      assert.equal(answer.text, 'content');
      assert.equal(answer.sendError, null);
    },
  ),
  ...each(
    'a request without a body reads as empty',
    async (request) => Response.json([await request.text()]),
    async ({ connection }) => {
      assert.deepEqual((await connection.get()).json, ['']);
    },
  ),
  ...each(
    'an answer that does not wait for the body tells the client to stop, and the connection lives on',
    () => new Response('enough'),
    async ({ connection }) => {
      const answer = await connection.request({ method: 'POST', bodySize: 20_000_000 });
      assert.equal(answer.status, 200);
      assert.equal(answer.text, 'enough');
      assert.equal(answer.sendError?.code, H3_NO_ERROR);
      assert.equal((await connection.get()).text, 'enough');
    },
  ),
  ...each(
    'a body that is cancelled tells the client to stop, and the answer still comes',
    async (request) => {
      const reader = request.body?.getReader();
      await reader?.read();
      await reader?.cancel();
      return new Response('enough');
    },
    async ({ connection }) => {
      const answer = await connection.request({ method: 'POST', bodySize: 20_000_000 });
      assert.equal(answer.text, 'enough');
      assert.notEqual(answer.sendError, null);
      assert.equal((await connection.request({ method: 'POST', bodySize: 10 })).text, 'enough');
    },
  ),
  ...endsWith('a client that closes its connection', 'ERR_H3_CONNECTION_CLOSED', ({ connection }) =>
    connection.close(),
  ),
  ...endsWith('a client that vanishes', 'ERR_H3_CONNECTION_CLOSED', ({ connection }) => connection.vanish(), {
    idleTimeoutMs: 300,
  }),
  ...endsWith('a server that stops by force', 'ERR_H3_CONNECTION_CLOSED', ({ server }) =>
    soon('stop(true)', server.stop(true)),
  ),
  ...REQUEST_KINDS.map((request) => ({
    name: `${request}: a client that resets ends the body with its code, and no other`,
    async run() {
      const reader = new Reader();
      await withServer({ request, fetch: reader.fetch, mode: 'streaming' }, async ({ connection }) => {
        const open = await connection.open({ method: 'POST', body: 'begun', keepOpen: true, read: 'none' });
        await reader.began();
        await open.cancel(0x10c);
        const error = await reader.ended();
        assert.ok(isH3Error(error));
        assert.deepEqual([error.code, error.wireCode, error.remote], ['ERR_H3_STREAM_RESET', 0x10c, true]);
        assert.equal((await connection.request({ method: 'POST', body: 'next' })).text, 'read');
      });
    },
  })),
  {
    name: 'a handler that does not read holds its client back, and nobody else',
    async run() {
      const go = deferred();
      const fetch = async (request: H3Request): Promise<Response> => {
        if (request.method === 'GET') return new Response('pong');
        await go.promise;
        return digest(request.body);
      };
      const limits = { streamReceiveWindowBytes: 64 * 1024, connectionReceiveWindowBytes: 1024 * 1024 };
      await withServer({ fetch, mode: 'streaming', limits }, async ({ connection, server }) => {
        const upload = connection.request({ method: 'POST', bodySize: 3_000_000, patienceMs: 20_000 });
        await until('the upload to begin', () => server.getStats().requests === 1n);
        await sleep(300);
        const { bodyBytesReceived } = server.getStats();
        assert.ok(bodyBytesReceived <= 128n * 1024n, `${bodyBytesReceived} bytes were taken`);
        assert.equal((await connection.get()).text, 'pong', 'another request of the connection is served');
        go.resolve();
        assert.deepEqual((await upload).json, [3_000_000, patternSha256(3_000_000)]);
      });
    },
  },
  {
    name: 'routes choose their mode, whatever that of the server is',
    run: () =>
      withServer(
        {
          mode: 'streaming',
          maxBodyBytes: 10,
          routes: [
            { method: 'POST', pattern: '/buffered', mode: 'buffered', fetch: () => new Response('fits') },
            { method: 'POST', pattern: '/streaming', fetch: (request) => digest(request.body) },
          ],
        },
        async ({ connection }) => {
          const post = { method: 'POST', bodySize: 11 };
          assert.equal((await connection.request({ ...post, path: '/buffered' })).status, 413);
          assert.equal((await connection.request({ ...post, path: '/streaming' })).status, 200);
        },
      ),
  },
  {
    name: 'ten uploads of 1 MB at once over four connections arrive whole',
    run: () =>
      withServer({ fetch: (request) => digest(request.body), mode: 'streaming' }, async ({ connect }) => {
        const connections = await Promise.all([connect(), connect(), connect(), connect()]);
        const sha256 = patternSha256(1_000_000);
        const uploads = Array.from({ length: 10 }, (_, n) =>
          connections[n % 4]?.request({ method: 'POST', bodySize: 1_000_000, patienceMs: 20_000 }),
        );
        for (const answer of await Promise.all(uploads)) assert.deepEqual(answer?.json, [1_000_000, sha256]);
      }),
  },
  {
    name: 'requestIP() names the client of a request while it is open',
    run: () =>
      withServer(
        { fetch: (request, server) => Response.json(server.requestIP(request)) },
        async ({ connection, server }) => {
          const seen = (await connection.get()).json as { address: string; port: number; family: string };
          assert.deepEqual([seen.address, seen.family], ['127.0.0.1', 'IPv4']);
          assert.ok(seen.port > 0 && seen.port !== server.port);
          assert.equal(server.requestIP(new Request('https://localhost/')), null);
        },
      ),
  },
];
