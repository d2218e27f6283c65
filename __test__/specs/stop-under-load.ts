import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, type H3ServeOptions, type H3Server } from 'trilane';
import type { Answer } from '../harness/answer.js';
import { type Closed, Connection, PeerError } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { hashStream, hashWhole, pattern, patternHash, patternResponse } from '../harness/pattern.js';
import { rawGet } from '../harness/raw-request.js';
import { Log } from '../harness/stage.js';
import { DATA, GOAWAY, payloads, readVarint } from '../harness/wire.js';
import type { Spec } from './spec.js';

const H3_NO_ERROR = 0x100;
const H3_REQUEST_REJECTED = 0x10b;
const UPLOAD_BYTES = 120_000;
const DOWNLOAD_BYTES = 100_000;
const PIECE_BYTES = 5_000;

const UPLOAD_SHA256 = patternHash(UPLOAD_BYTES);
const DOWNLOAD_SHA256 = patternHash(DOWNLOAD_BYTES);

/** A download that takes a while. */
async function* slowly(): AsyncGenerator<Uint8Array> {
  for (const piece of pattern(DOWNLOAD_BYTES, PIECE_BYTES)) {
    await sleep(10);
    yield piece;
  }
}

const OPTIONS: H3ServeOptions = {
  hostname: '127.0.0.1',
  drainTimeoutMs: 20_000,
  routes: [
    { method: 'GET', pattern: '/quick', fetch: () => new Response('quick') },
    {
      method: 'GET',
      pattern: '/later',
      fetch: async () => {
        await sleep(150);
        return new Response('later');
      },
    },
    { method: 'POST', pattern: '/buffered', fetch: hashWhole },
    { method: 'POST', pattern: '/streaming', mode: 'streaming', fetch: hashStream },
    { method: 'GET', pattern: '/download', fetch: () => patternResponse(slowly()) },
  ],
};

/** Served whole, refused so that the client may try again, or neither. */
type Fate = 'served' | 'refused' | string;

function fateOf(answer: Answer, isRight: (answer: Answer) => boolean): Fate {
  const failure = answer.error ?? answer.sendError;
  // "goaway": the client did not send it at all.
  if (failure?.kind === 'goaway') return 'refused';
  if (failure !== null && failure.code === H3_REQUEST_REJECTED) return 'refused';
  if (failure !== null) return JSON.stringify(failure);
  if (answer.status !== 200 || !answer.ended) return `status ${answer.status}, ended ${answer.ended}`;
  return isRight(answer) ? 'served' : `${answer.length} wrong bytes`;
}

/** The `nth` request of a mix of all kinds. */
async function ask(connection: Connection, nth: number): Promise<Fate> {
  const upload = { method: 'POST', bodySize: UPLOAD_BYTES, chunkSize: 10_000, chunkDelayMs: 10 };
  const patienceMs = 25_000;
  switch (nth % 5) {
    case 0:
      return fateOf(await connection.get('/quick', { patienceMs }), ({ text }) => text === 'quick');
    case 1:
      return fateOf(await connection.get('/later', { patienceMs }), ({ text }) => text === 'later');
    case 2:
      return fateOf(
        await connection.request({ ...upload, path: '/buffered', patienceMs }),
        ({ text }) => text === UPLOAD_SHA256,
      );
    case 3:
      return fateOf(
        await connection.request({ ...upload, path: '/streaming', patienceMs }),
        ({ text }) => text === UPLOAD_SHA256,
      );
    default:
      return fateOf(await connection.get('/download', { patienceMs }), (answer) =>
        answer.length > 65_536 ? answer.sha256 === DOWNLOAD_SHA256 : false,
      );
  }
}

/** A request that met the end of its connection: only GOAWAY can say what became of it. */
interface Unanswered {
  readonly stream: number;
}

/** A request of a client that does not look at GOAWAY; null if the connection was closed before it was sent. */
async function askBlindly(connection: Connection, server: H3Server): Promise<Fate | Unanswered | null> {
  const stream = await unlessClosed(rawGet(connection, server.url, '/quick'));
  if (stream === null) return null;
  const read = await unlessClosed(stream.read());
  if (read === null) return { stream: stream.id };
  const { bytes, fin, resetCode } = read;
  if (resetCode === H3_REQUEST_REJECTED) return 'refused';
  const text = payloads(bytes, DATA).toString('utf8');
  return fin && text === 'quick' ? 'served' : `reset ${resetCode}, fin ${fin}, ${JSON.stringify(text)}`;
}

/** The ids in the GOAWAY frames of the server, once its connection has ended. */
async function goawayIds(connection: Connection): Promise<number[]> {
  const control = await connection.acceptStream('uni');
  const read: Buffer[] = [];
  for (;;) {
    const piece = await unlessClosed(control.read(1, 20_000));
    if (piece === null) break;
    read.push(piece.bytes);
  }
  // Behind the type of the stream.
  let rest = payloads(Buffer.concat(read).subarray(1), GOAWAY);
  const ids: number[] = [];
  while (rest.length > 0) {
    const { value, size } = readVarint(rest);
    ids.push(value);
    rest = rest.subarray(size);
  }
  return ids;
}

async function unlessClosed<Value>(promise: Promise<Value>): Promise<Value | null> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof PeerError && error.failure.kind === 'closed') return null;
    throw error;
  }
}

/**
 * The server closed the connection with H3_NO_ERROR. A quinn client that was starved until the server had forgotten the
 * connection answers the close, and tells of the stateless reset that this brings in place of the close.
 */
function assertClosed(end: Closed): void {
  if (end.kind !== 'stateless_reset') assert.equal(end.code, H3_NO_ERROR, JSON.stringify(end));
}

async function serving(options: H3ServeOptions, run: (server: H3Server) => Promise<void>): Promise<void> {
  const server = createH3Server({ logger: new Log(), ...options });
  try {
    await run(server);
  } finally {
    server.close();
  }
}

export const specs: Spec[] = [
  {
    name: 'stop() with 200 requests under way: each is served whole or refused with H3_REQUEST_REJECTED, none is cut (RFC 9114 §5.2)',
    run: () =>
      serving(OPTIONS, async (server) => {
        const connections = await Promise.all([1, 2, 3, 4].map(() => Connection.open(server.url)));
        const blind = await Connection.openRaw(server.url);
        let stopped: Promise<void> | null = null;
        const whenAccepted = until(
          '100 requests to be accepted',
          () => server.getStats().requests >= 100n,
          20_000,
        );
        const stopping = whenAccepted.then(() => {
          stopped = server.stop();
        });
        const fates = await soon(
          'all 200 requests to end',
          Promise.all(
            Array.from({ length: 200 }, async (_, nth) => {
              // Some begin before the stop, some around it, and some after it.
              await sleep(nth * 4);
              return ask(connections[nth % 4] as Connection, Math.floor(nth / 4));
            }),
          ),
          28_000,
        );
        await stopping;
        const count = (fate: Fate): number => fates.filter((each) => each === fate).length;
        const cut = fates.filter((fate) => fate !== 'served' && fate !== 'refused');
        assert.deepEqual(cut, [], `${count('served')} served, ${count('refused')} refused`);
        assert.ok(count('served') >= 100, `${count('served')} served`);
        await soon('stop()', stopped ?? Promise.reject(new Error('it was never stopped')));
        for (const connection of [...connections, blind]) assertClosed(await connection.closed());
      }),
  },
  {
    name: 'a client that goes on sending during stop() has each request served, refused, or disowned by the last GOAWAY',
    run: () =>
      serving(OPTIONS, async (server) => {
        // Keeps the stop going, so that there is time for late requests.
        const slow = await Connection.open(server.url);
        const download = slow.get('/download');
        const blind = await Connection.openRaw(server.url);
        await until('the download to begin', () => server.getStats().requests === 1n);
        const goaway = goawayIds(blind);
        const rounds: Promise<(Fate | Unanswered | null)[]>[] = [];
        const over = deferred();
        let sending = true;
        const storm = (async () => {
          while (sending) {
            rounds.push(Promise.all([1, 2, 3].map(() => askBlindly(blind, server))));
            await sleep(2);
          }
          over.resolve();
        })();
        await until('some to be served', () => server.getStats().requests > 10n);
        await soon('stop()', server.stop());
        sending = false;
        await storm;
        const ids = await soon('the last GOAWAY', goaway);
        const first = ids.at(-1) as number;
        assert.equal(ids.length, 2, `GOAWAY ${ids}`);
        const fates = (await Promise.all(rounds)).flat().flatMap((fate) => {
          if (fate === null) return [];
          if (typeof fate === 'string') return [fate];
          return [
            fate.stream >= first ? 'refused' : `stream ${fate.stream} unanswered below GOAWAY ${first}`,
          ];
        });
        assert.deepEqual(
          fates.filter((fate) => fate !== 'served' && fate !== 'refused'),
          [],
        );
        for (const fate of ['served', 'refused']) assert.ok(fates.includes(fate), `none was ${fate}`);
        assert.equal((await download).sha256, DOWNLOAD_SHA256);
      }),
  },
  {
    name: 'stop(), stop(true) and close() in any order and overlapping end, and so does the server',
    async run() {
      const ways: ((server: H3Server) => Promise<void>)[] = [
        (server) => server.stop(),
        (server) => server.stop(true),
        async (server) => server.close(),
      ];
      const orders = ways.flatMap((a) => ways.flatMap((b) => ways.map((c) => [a, b, c])));
      await Promise.all(
        orders.map((order) =>
          serving({ ...OPTIONS, drainTimeoutMs: 500 }, async (server) => {
            const connection = await Connection.open(server.url);
            const open = connection.get('/later');
            await until('the request', () => server.getStats().requests === 1n);
            await soon('all of them', Promise.all(order.map((way) => way(server))));
            await until('the end', () => !server.running);
            await open;
            const { connectionsActive, requestsActive } = server.getStats();
            assert.deepEqual([connectionsActive, requestsActive], [0, 0]);
          }),
        ),
      );
    },
  },
  {
    name: 'stop(true) sends CONNECTION_CLOSE with H3_NO_ERROR at once',
    run: () =>
      serving(OPTIONS, async (server) => {
        const connections = await Promise.all(Array.from({ length: 10 }, () => Connection.open(server.url)));
        const open = connections.map((connection) => connection.get('/download'));
        await until('the downloads', () => server.getStats().requests === 10n);
        const began = performance.now();
        const stopped = server.stop(true);
        for (const connection of connections) assertClosed(await connection.closed());
        const took = performance.now() - began;
        assert.ok(took < 1000, `the last client knew after ${took} ms`);
        await soon('stop(true)', stopped);
        for (const answer of await Promise.all(open)) assert.notEqual(answer.error, null);
      }),
  },
  {
    name: 'drainTimeoutMs over, the rest is closed with H3_NO_ERROR',
    run: () =>
      serving({ ...OPTIONS, drainTimeoutMs: 100 }, async (server) => {
        const connection = await Connection.open(server.url);
        const open = connection.get('/download');
        await until('the download', () => server.getStats().requests === 1n);
        const began = performance.now();
        await soon('stop()', server.stop());
        assert.ok(performance.now() - began < 1500);
        assertClosed(await connection.closed());
        assert.notEqual((await open).error, null);
      }),
  },
];
