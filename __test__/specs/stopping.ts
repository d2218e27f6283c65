import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createH3Server, type H3Server, Response, type WTContext } from 'trilane';
import { deferred, soon } from '../harness/deadline.js';
import { closeCapsule, RawSession } from '../harness/raw-session.js';
import { Log, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** Less than `drainTimeoutMs`: what took longer was cut. */
const QUICK_MS = 5000;

const stopping = (server: H3Server): Promise<void> =>
  new Promise((resolve) => server.stopping.addEventListener('abort', () => resolve(), { once: true }));

/** An event stream that never ends by itself. */
async function* events(server: H3Server): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode('data: begun\n\n');
  await stopping(server);
  yield new TextEncoder().encode('event: bye\ndata: \n\n');
}

function unbound(): H3Server {
  return createH3Server({ hostname: '127.0.0.1', logger: new Log(), fetch: () => new Response('hello') });
}

export const specs: Spec[] = [
  {
    name: 'an event stream ends itself when server.stopping aborts, and stop() is quick',
    run: () =>
      withServer(
        {
          fetch: (_, server) =>
            new Response(events(server), { headers: { 'content-type': 'text/event-stream' } }),
        },
        async ({ server, connection }) => {
          const stream = await connection.open();
          const begun = await stream.read('data: begun\n\n'.length);
          assert.equal(begun.error, null);
          const began = performance.now();
          const stopped = server.stop();
          const end = await stream.read();
          assert.deepEqual([end.error, end.length], [null, 'event: bye\ndata: \n\n'.length]);
          await soon('stop()', stopped);
          assert.ok(performance.now() - began < QUICK_MS);
        },
      ),
  },
  {
    name: 'a session closes itself when server.stopping aborts, and stop() is quick',
    async run() {
      const accepted = deferred();
      const running = deferred<H3Server>();
      const webtransport = async (session: WTContext): Promise<void> => {
        const server = await running.promise;
        session.accept();
        accepted.resolve();
        await stopping(server);
        session.close({ closeCode: 7, reason: 'bye' });
      };
      await withServer(
        { routes: [{ method: 'CONNECT', pattern: '/wt', webtransport }] },
        async ({ server }) => {
          running.resolve(server);
          const client = await RawSession.ask(server.url, '/wt');
          await soon('the session', accepted.promise);
          const began = performance.now();
          const stopped = server.stop();
          const { bytes, fin } = await client.connect.read();
          assert.equal(fin, true);
          assert.ok(bytes.includes(Buffer.from(closeCapsule(7, 'bye'))), 'the close was sent');
          await soon('stop()', stopped);
          assert.ok(performance.now() - began < QUICK_MS);
          await client.connection.close().catch(() => undefined);
        },
      );
    },
  },
  {
    name: 'server.stopping aborts at once with stop(), stop(true) and close(), and start() brings a new one',
    async run() {
      for (const force of [false, true]) {
        const server = unbound();
        const before = server.stopping;
        assert.equal(before.aborted, false);
        assert.equal(server.stopping, before, 'the same one while the server runs');
        const stopped = server.stop(force);
        assert.equal(before.aborted, true);
        await soon('stop()', stopped);
        assert.equal(server.stopping.aborted, true);
        server.start();
        assert.equal(server.stopping.aborted, false);
        const after = server.stopping;
        server.close();
        assert.equal(after.aborted, true);
      }
    },
  },
  {
    name: 'a start() that fails leaves server.stopping alone',
    async run() {
      const server = unbound();
      const { stopping: before } = server;
      assert.throws(() => server.start(), { code: 'ERR_H3_SERVER_RUNNING' });
      assert.equal(server.stopping, before);
      server.close();
      assert.throws(() => server.start(), { code: 'ERR_H3_SERVER_CLOSED' });
      assert.equal(server.stopping.aborted, true);
    },
  },
  {
    name: 'who listens to server.stopping may stop or close the server again',
    async run() {
      const server = unbound();
      server.stopping.addEventListener('abort', () => {
        void server.stop(true);
        server.close();
      });
      await soon('stop()', server.stop());
      assert.equal(server.running, false);
    },
  },
];
