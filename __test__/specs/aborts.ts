import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type H3Error, type H3Request, isH3Error } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { getHeaders, rawGet } from '../harness/raw-request.js';
import { REQUEST_KINDS, type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** Code of a request that the client gave up (RFC 9114 §8.1). */
const H3_REQUEST_CANCELLED = 0x10c;

/** A handler that answers only when its request is aborted, and what became of it. */
class Patient {
  readonly #begun = deferred<H3Request>();
  readonly #ended = deferred<unknown>();

  readonly fetch = async (request: H3Request): Promise<Response> => {
    const { signal } = request;
    this.#begun.resolve(request);
    if (!signal.aborted) await once(signal, 'abort');
    this.#ended.resolve(signal.reason);
    return new Response('nobody reads this');
  };

  /** The request, when the handler has it. */
  begun(): Promise<H3Request> {
    return soon('the handler to begin', this.#begun.promise);
  }

  /** The reason of the abort. */
  async aborted(): Promise<H3Error> {
    const reason = await soon('the signal to abort', this.#ended.promise);
    assert.ok(isH3Error(reason), `the reason is ${String(reason)}`);
    return reason;
  }
}

/** The same fact for both kinds of request, with a handler that waits for its signal. */
function each(name: string, run: (stage: Stage, handler: Patient) => Promise<void>, limits = {}): Spec[] {
  return REQUEST_KINDS.map((request) => ({
    name: `${request}: ${name}`,
    run() {
      const handler = new Patient();
      return withServer({ request, fetch: handler.fetch, limits }, (stage) => run(stage, handler));
    },
  }));
}

export const specs: Spec[] = [
  ...each('signal aborts when the client cancels the request, with its code', async (stage, handler) => {
    const open = await stage.connection.open({ read: 'none' });
    await handler.begun();
    await open.cancel(0x1234);
    const { code, remote, wireCode, layer } = await handler.aborted();
    assert.deepEqual([code, remote, wireCode, layer], ['ERR_H3_STREAM_RESET', true, 0x1234, 'http3']);
    await until('the abort to be counted', () => stage.server.getStats().requestsAborted === 1n);
  }),
  ...each('signal aborts when the client stops reading before the answer', async (stage, handler) => {
    const stream = await rawGet(stage.connection, stage.server.url);
    await handler.begun();
    await stream.stop(H3_REQUEST_CANCELLED);
    assert.equal((await handler.aborted()).wireCode, H3_REQUEST_CANCELLED);
  }),
  ...each('signal aborts when the client closes the connection', async (stage, handler) => {
    await stage.connection.open({ read: 'none' });
    await handler.begun();
    await stage.connection.close();
    const { code, remote } = await handler.aborted();
    assert.deepEqual([code, remote], ['ERR_H3_CONNECTION_CLOSED', true]);
  }),
  ...each(
    'signal aborts when the client vanishes',
    async (stage, handler) => {
      await stage.connection.open({ read: 'none' });
      await handler.begun();
      await stage.connection.vanish();
      assert.equal((await handler.aborted()).code, 'ERR_H3_CONNECTION_CLOSED');
    },
    { idleTimeoutMs: 300 },
  ),
  ...each('signal aborts when the server is stopped by force', async (stage, handler) => {
    await stage.connection.open({ read: 'none' });
    await handler.begun();
    await soon('stop(true)', stage.server.stop(true));
    await handler.aborted();
  }),
  ...each('signal aborts when the server is closed', async (stage, handler) => {
    await stage.connection.open({ read: 'none' });
    await handler.begun();
    stage.server.close();
    await handler.aborted();
  }),
  ...each('signal does not abort when the answer was sent', async (stage, handler) => {
    const other = await stage.connect();
    void stage.connection.open({ read: 'none' });
    const { signal } = await handler.begun();
    assert.equal(signal.aborted, false);
    await other.close();
    await sleep(50);
    assert.equal(signal.aborted, false, 'another connection is none of its business');
  }),
  ...each('what a handler throws after its client is gone is no news', async (stage, handler) => {
    const open = await stage.connection.open({ read: 'none' });
    await handler.begun();
    await open.cancel();
    await handler.aborted();
    // The stage fails if the late answer is logged as an error.
    await sleep(20);
  }),
  ...REQUEST_KINDS.map((request) => ({
    name: `${request}: a request that was given up before its handler ran comes with an aborted signal`,
    async run() {
      const reason = deferred<unknown>();
      const fetch = async ({ url, signal }: H3Request): Promise<Response> => {
        if (url.endsWith('/block')) {
          await sleep(20);
          // The other request and its end both wait for the JavaScript thread meanwhile.
          block(500);
          return new Response('done');
        }
        if (!signal.aborted) await once(signal, 'abort');
        reason.resolve(signal.reason);
        return new Response();
      };
      await withServer({ request, fetch }, async ({ connection, server }) => {
        const givenUp = await connection.openStream();
        const blocking = connection.get('/block');
        const writing = givenUp.write({ headers: getHeaders(server.url), fin: true, byteByByteDelayMs: 1 });
        const stopping = givenUp.stop(H3_REQUEST_CANCELLED);
        assert.equal((await blocking).text, 'done');
        const error = await soon('the signal of the request that was given up', reason.promise, 3000);
        assert.equal((error as H3Error).wireCode, H3_REQUEST_CANCELLED);
        await Promise.all([writing, stopping]);
      });
    },
  })),
  {
    name: 'a thousand requests given up by their client leave nothing behind',
    run: () =>
      withServer(
        {
          fetch: ({ signal }) =>
            new Promise((resolve) => signal.addEventListener('abort', () => resolve(new Response()))),
        },
        async ({ connection, server }) => {
          for (let round = 0; round < 10; round++) {
            const open = await Promise.all(
              Array.from({ length: 100 }, () => connection.open({ read: 'none' })),
            );
            await Promise.all(open.map((request) => request.cancel()));
          }
          await until('all requests to end', () => server.getStats().requestsActive === 0);
          assert.equal(
            (await connection.open({ read: 'none' })).answer.error,
            null,
            'the connection lives on',
          );
        },
      ),
  },
];

/** Holds the JavaScript thread. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
