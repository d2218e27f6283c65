import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, type H3Request, type H3ServeOptions, type H3Server } from 'trilane';
import { Connection, PeerError } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { Log, withServer } from '../harness/stage.js';
import { twoPieces } from '../harness/two-pieces.js';
import type { Spec } from './spec.js';

const LOOPBACK = '127.0.0.1';
const H3_NO_ERROR = 0x100;
const fetch = (): Response => new Response('hello');

/** Runs `run` with a server that is closed afterwards, whatever became of it. */
async function serving(options: H3ServeOptions, run: (server: H3Server) => Promise<void>): Promise<void> {
  const server = createH3Server({ hostname: LOOPBACK, logger: new Log(), ...options });
  try {
    await run(server);
  } finally {
    server.close();
  }
}

/** A handler that answers when it is told to. */
class Gate {
  readonly #entered = deferred<H3Request>();
  readonly #opened = deferred();

  readonly fetch = async (request: H3Request): Promise<Response> => {
    this.#entered.resolve(request);
    await this.#opened.promise;
    return new Response('done');
  };

  entered(): Promise<H3Request> {
    return soon('the handler to begin', this.#entered.promise);
  }

  open(): void {
    this.#opened.resolve();
  }
}

async function ask(server: H3Server): Promise<string> {
  const connection = await Connection.open(server.url);
  const { text } = await connection.get();
  await connection.close();
  return text;
}

async function assertFree(port: number): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(port, LOOPBACK);
  await soon(`port ${port} to be free`, once(socket, 'listening'));
  const closed = once(socket, 'close');
  socket.close();
  await soon('the socket to close', closed);
}

export const specs: Spec[] = [
  {
    name: 'port 0 takes a free port, and url says where the server is',
    run: () =>
      serving({ fetch }, async (server) => {
        assert.ok(server.port > 0);
        assert.equal(server.url.href, `https://${LOOPBACK}:${server.port}/`);
        assert.equal(server.hostname, LOOPBACK);
        assert.equal(server.running, true);
        assert.equal(await ask(server), 'hello');
      }),
  },
  {
    name: 'a server on all addresses is reached as localhost',
    run: () =>
      serving({ hostname: undefined, fetch }, async (server) => {
        assert.equal(server.url.href, `https://localhost:${server.port}/`);
        assert.equal(await ask(server), 'hello');
        const connection = await Connection.open(`https://${LOOPBACK}:${server.port}`);
        assert.equal((await connection.get()).text, 'hello');
        await connection.close();
      }),
  },
  {
    name: 'hostname may be a name',
    run: () =>
      serving({ hostname: 'localhost', fetch }, async (server) => {
        assert.equal(server.hostname, 'localhost');
        assert.equal(await ask(server), 'hello');
      }),
  },
  {
    name: 'at the end of a stop the server does not run and the port is free',
    run: () =>
      serving({ fetch }, async (server) => {
        await soon('stop', server.stop());
        assert.equal(server.running, false);
        await assertFree(server.port);
      }),
  },
  {
    name: 'stop() lets requests under way finish, refuses new ones, and closes with H3_NO_ERROR (RFC 9114 §5.2)',
    async run() {
      const gate = new Gate();
      await serving({ fetch: gate.fetch }, async (server) => {
        const connection = await Connection.open(server.url);
        const answer = connection.get();
        await gate.entered();
        let over = false;
        const stopped = server.stop().then(() => {
          over = true;
        });
        assert.notEqual(await connection.goaway(2000), null);
        await sleep(100);
        assert.equal(over, false, 'stop() waits');
        assert.equal(server.running, true, 'the port is still bound');
        assert.throws(() => server.start(), { code: 'ERR_H3_SERVER_RUNNING' });
        await assert.rejects(Connection.open(server.url, { patienceMs: 2000 }), PeerError);
        gate.open();
        assert.equal((await answer).text, 'done');
        await soon('stop', stopped);
        const { code } = await connection.closed();
        assert.equal(code, H3_NO_ERROR);
      });
    },
  },
  {
    name: 'stop() lets a streamed answer finish',
    async run() {
      const rest = deferred();
      await serving({ fetch: () => new Response(twoPieces(rest.promise)) }, async (server) => {
        const connection = await Connection.open(server.url);
        const open = await connection.open();
        await open.read(1000);
        const stopped = server.stop();
        await sleep(50);
        rest.resolve();
        const end = await open.read();
        assert.equal(end.length, 1000);
        assert.equal(end.error, null);
        await soon('stop', stopped);
      });
    },
  },
  {
    name: 'stop() cuts what is not done after drainTimeoutMs',
    async run() {
      const gate = new Gate();
      await serving({ fetch: gate.fetch, drainTimeoutMs: 200 }, async (server) => {
        const connection = await Connection.open(server.url);
        const answer = connection.get();
        const { signal } = await gate.entered();
        const started = performance.now();
        await soon('stop', server.stop(), 3000);
        const took = performance.now() - started;
        assert.ok(took >= 190 && took < 2500, `stop() took ${took} ms`);
        assert.notEqual((await answer).error, null);
        await until('the signal to abort', () => signal.aborted);
        gate.open();
      });
    },
  },
  {
    name: 'stop(true) cuts at once',
    async run() {
      const gate = new Gate();
      await serving({ fetch: gate.fetch }, async (server) => {
        const connection = await Connection.open(server.url);
        const answer = connection.get();
        await gate.entered();
        await soon('stop(true)', server.stop(true), 2000);
        assert.equal((await answer).error?.kind, 'closed');
        assert.equal((await connection.closed()).code, H3_NO_ERROR);
        await assertFree(server.port);
        gate.open();
      });
    },
  },
  {
    name: 'stops may overlap, and a forced one cuts a graceful one short',
    async run() {
      const gate = new Gate();
      await serving({ fetch: gate.fetch }, async (server) => {
        const connection = await Connection.open(server.url);
        void connection.get();
        await gate.entered();
        const graceful = [server.stop(), server.stop()];
        await sleep(20);
        await soon('all stops', Promise.all([...graceful, server.stop(true)]), 3000);
        assert.equal(server.running, false);
        await soon('a stop of a stopped server', server.stop());
        await soon('a forced one', server.stop(true));
        gate.open();
      });
    },
  },
  {
    name: 'start() after stop() serves again, as often as wanted, and counts on',
    run: () =>
      serving({ fetch }, async (server) => {
        for (let round = 1; round <= 5; round++) {
          assert.equal(await ask(server), 'hello');
          assert.equal(server.getStats().requests, BigInt(round));
          await soon('stop', server.stop(round % 2 === 0));
          assert.equal(server.start(), server);
          assert.equal(server.running, true);
        }
      }),
  },
  {
    name: 'start() of a server that runs throws ERR_H3_SERVER_RUNNING and disturbs nothing',
    run: () =>
      serving({ fetch }, async (server) => {
        const { port } = server;
        assert.throws(() => server.start(), { name: 'H3Error', code: 'ERR_H3_SERVER_RUNNING' });
        assert.equal(server.port, port);
        assert.equal(await ask(server), 'hello');
      }),
  },
  {
    name: 'close() is idempotent, drops connections, frees the port; start() throws afterwards',
    run: () =>
      serving({ fetch }, async (server) => {
        const connection = await Connection.open(server.url);
        assert.equal((await connection.get()).text, 'hello');
        server.close();
        server.close();
        assert.throws(() => server.start(), { name: 'H3Error', code: 'ERR_H3_SERVER_CLOSED' });
        assert.equal((await connection.closed()).code, H3_NO_ERROR);
        await until('the server to end', () => !server.running);
        await assertFree(server.port);
        await soon('stop of a closed server', server.stop());
        assert.equal(server.getStats().connectionsActive, 0);
      }),
  },
  {
    name: 'Symbol.asyncDispose stops gracefully, then closes',
    async run() {
      const gate = new Gate();
      const server = createH3Server({ hostname: LOOPBACK, fetch: gate.fetch });
      const connection = await Connection.open(server.url);
      const answer = connection.get();
      await gate.entered();
      const disposed = server[Symbol.asyncDispose]();
      await sleep(20);
      gate.open();
      assert.equal((await answer).text, 'done');
      await soon('the disposal', disposed);
      assert.throws(() => server.start(), { code: 'ERR_H3_SERVER_CLOSED' });
    },
  },
  {
    name: 'getStats() counts connections, requests, bytes and time',
    async run() {
      const gate = new Gate();
      const options: H3ServeOptions = {
        routes: [{ method: 'GET', pattern: '/gate', fetch: gate.fetch }],
        fetch: async (request) => new Response(`${(await request.text()).length}`.padStart(10, ' ')),
      };
      await withServer(options, async ({ server, connection, connect }) => {
        // The client's handshake is over a moment before the server's.
        await until('the connection to be counted', () => server.getStats().connectionsTotal === 1n);
        const before = server.getStats();
        assert.deepEqual(
          [before.connectionsTotal, before.connectionsActive, before.requests, before.requestsActive],
          [1n, 1, 0n, 0],
        );
        const second = await connect();
        await connection.request({ method: 'POST', bodySize: 500 });
        await second.request({ method: 'POST', bodySize: 700 });
        const waiting = second.get('/gate');
        await gate.entered();
        const during = server.getStats();
        assert.deepEqual(
          [during.connectionsTotal, during.connectionsActive, during.requests, during.requestsActive],
          [2n, 2, 3n, 1],
        );
        assert.equal(during.bodyBytesReceived, 1200n);
        assert.equal(during.bodyBytesSent, 20n);
        assert.ok(during.uptimeMs >= before.uptimeMs);
        gate.open();
        await waiting;
        await second.close();
        await until('the closed connection to be counted', () => server.getStats().connectionsActive === 1);
        assert.equal(server.getStats().connectionsTotal, 2n);
      });
    },
  },
  {
    name: 'ref() and unref() return the server and may be called at any time',
    run: () =>
      serving({ fetch }, async (server) => {
        assert.equal(server.unref().unref().ref().ref(), server);
        assert.equal(await ask(server), 'hello');
        await soon('stop', server.stop());
        server.unref();
        server.start();
        server.ref();
        assert.equal(await ask(server), 'hello');
      }),
  },
  {
    name: 'two servers in one process do not disturb each other, also when one stops',
    run: () =>
      serving({ fetch: () => new Response('one') }, (one) =>
        serving({ fetch: () => new Response('two') }, async (two) => {
          const toOne = await Connection.open(one.url);
          const toTwo = await Connection.open(two.url);
          assert.deepEqual([(await toOne.get()).text, (await toTwo.get()).text], ['one', 'two']);
          const busy = Promise.all(Array.from({ length: 100 }, () => toTwo.get()));
          await soon('stop', one.stop(true));
          for (const answer of await busy) assert.equal(answer.text, 'two');
          assert.equal((await toTwo.get()).text, 'two');
          assert.equal(await ask(two), 'two');
        }),
      ),
  },
  {
    name: 'twenty servers start and stop together',
    async run() {
      const servers = Array.from({ length: 20 }, (_, n) =>
        createH3Server({ hostname: LOOPBACK, fetch: () => new Response(`${n}`) }),
      );
      const texts = await Promise.all(servers.map(ask));
      assert.deepEqual(
        texts,
        servers.map((_, n) => `${n}`),
      );
      await soon('all stops', Promise.all(servers.map((server) => server.stop())));
      for (const server of servers) server.close();
    },
  },
];
