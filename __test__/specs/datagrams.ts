import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, type H3Connection, type H3DatagramContext, type QUICDatagramContext } from 'trilane';
import { Connection } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { getHeaders } from '../harness/raw-request.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** SETTINGS with H3_DATAGRAM = 1 on a control stream (RFC 9297 §2.1.1). */
const AGREEING = '0004023301';
/** H3_DATAGRAM_ERROR (RFC 9297 §5.2). */
const H3_DATAGRAM_ERROR = 0x33;

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A connection that agreed to HTTP datagrams, closed at the end. */
async function withDatagrams({ server }: Stage, run: (client: Connection) => Promise<void>): Promise<void> {
  const client = await Connection.openRaw(server.url, { controlHex: AGREEING });
  try {
    await run(client);
  } finally {
    await client.close().catch(() => undefined);
  }
}

/** Begins a request of `path` and leaves its side open. */
async function begin(client: Connection, url: URL, path: string, fin = false) {
  const stream = await client.openStream();
  await stream.write({ headers: getHeaders(url, path), fin });
  return stream;
}

const rawEcho = (payload: Uint8Array, context: QUICDatagramContext): void => {
  context.sendReply(bytes(`echo ${text(payload)}`));
};

export const specs: Spec[] = [
  {
    name: 'a raw datagram of another protocol reaches quicDatagram, and its reply comes back',
    run: () => {
      const seen: QUICDatagramContext[] = [];
      return withServer(
        {
          fetch: () => new Response('http'),
          quicAlpn: ['echo'],
          quicDatagram(payload, context) {
            seen.push(context);
            rawEcho(payload, context);
          },
        },
        async ({ server, connection }) => {
          const client = await Connection.openRaw(server.url, { alpn: ['echo'], controlHex: '' });
          await client.sendDatagram('one');
          assert.deepEqual((await client.readDatagrams()).map(String), ['echo one']);
          await client.sendDatagram('two');
          assert.deepEqual((await client.readDatagrams()).map(String), ['echo two']);
          const [first, second] = seen;
          assert.equal(first, second, 'one context for each connection');
          assert.equal(first?.alpn, 'echo');
          assert.equal(first?.connectionId.byteLength, 16);
          assert.match(first?.connectionIdHex ?? '', /^[0-9a-f]{32}$/);
          assert.ok((first?.originalDestinationConnectionId.byteLength ?? 0) >= 8);
          assert.equal(first?.remoteAddress.address, '127.0.0.1');
          assert.ok((first?.maxDatagramSize ?? 0) > 1000);
          assert.equal((await connection.get()).text, 'http');
          await client.close();
        },
      );
    },
  },
  {
    name: 'an h3 connection that did not agree to HTTP datagrams has raw ones',
    run: () =>
      withServer({ fetch: () => new Response(), quicDatagram: rawEcho }, async ({ server }) => {
        const client = await Connection.openRaw(server.url);
        await client.sendDatagram('raw');
        assert.deepEqual((await client.readDatagrams()).map(String), ['echo raw']);
        await client.close();
      }),
  },
  {
    name: 'sendQuicDatagram reaches a connection by its id, and tells when it cannot',
    run: () => {
      const opened = deferred<H3Connection>();
      const closed = deferred<unknown>();
      return withServer(
        {
          fetch: () => new Response(),
          quicAlpn: ['push'],
          quicDatagram() {},
          onConnection(connection) {
            if (connection.alpn === 'push') opened.resolve(connection);
          },
          onConnectionClose(connection, cause) {
            if (connection.alpn === 'push') closed.resolve(cause);
          },
        },
        async ({ server }) => {
          const client = await Connection.openRaw(server.url, { alpn: ['push'], controlHex: '' });
          const { connectionId, connectionIdHex } = await soon('onConnection', opened.promise);
          assert.equal(server.sendQuicDatagram(connectionId, bytes('by bytes')), true);
          assert.equal(server.sendQuicDatagram(connectionIdHex, bytes('by text')), true);
          assert.deepEqual((await client.readDatagrams(2)).map(String), ['by bytes', 'by text']);
          assert.equal(server.sendQuicDatagram(connectionId, new Uint8Array(70_000)), false);
          assert.equal(server.sendQuicDatagram('00', bytes('nobody')), false);
          assert.throws(() => server.sendQuicDatagram(1 as never, bytes('x')), { code: 'ERR_H3_DATAGRAM' });
          assert.throws(() => server.sendQuicDatagram(connectionId, 'x' as never), {
            code: 'ERR_H3_DATAGRAM',
          });
          const [stats] = server.connections().filter(({ alpn }) => alpn === 'push');
          assert.equal(stats?.connectionIdHex, connectionIdHex);
          assert.equal(stats?.quicDatagrams.sent, 2n);
          assert.ok((stats?.roundTripMs ?? -1) >= 0);
          await client.close(7);
          assert.deepEqual(await soon('onConnectionClose', closed.promise), { remote: true, code: 7 });
          assert.equal(server.sendQuicDatagram(connectionId, bytes('late')), false);
        },
      );
    },
  },
  {
    // RFC9297-2-request-supports, RFC9297-2.1-send-side-open
    name: 'HTTP datagrams reach the handler of their request, and its replies the stream they belong to',
    run: () => {
      const contexts = new Map<string, H3DatagramContext>();
      return withServer(
        {
          routes: [
            {
              method: 'GET',
              pattern: '/rooms/:room',
              h3Datagram(payload, context) {
                contexts.set(context.params.room, context);
                context.sendReply(bytes(`${context.params.room} ${text(payload)}`));
              },
            },
          ],
        },
        (stage) =>
          withDatagrams(stage, async (client) => {
            const { url } = stage.server;
            const first = await begin(client, url, '/rooms/a');
            const second = await begin(client, url, '/rooms/b');
            await first.read(3);
            await second.read(3);
            await client.sendDatagram('x', { quarterStreamId: 1 });
            await client.sendDatagram('y', { quarterStreamId: 0 });
            const replies = (await client.readDatagrams(2)).map((data) => [data[0], text(data.subarray(1))]);
            assert.deepEqual(replies.sort(), [
              [0, 'a y'],
              [1, 'b x'],
            ]);
            const context = contexts.get('b');
            assert.equal(context?.streamId, 4n);
            assert.equal(context?.flowId, 1n);
            assert.equal(context?.request.params['room'], 'b');
            assert.ok((context?.maxDatagramSize ?? 0) > 1000);
            assert.equal(context?.sendReply(new Uint8Array(70_000)), false);
            await first.write({ fin: true });
            await second.write({ fin: true });
            assert.equal((await first.read()).fin, true);
            assert.equal((await second.read()).fin, true);
            assert.equal(context?.sendReply(bytes('late')), false);
            assert.equal(context?.maxDatagramSize, 0);
          }),
      );
    },
  },
  {
    name: 'a route with fetch and h3Datagram answers as fetch says and takes datagrams until then',
    run: () => {
      const arrived = deferred();
      const seen: string[] = [];
      return withServer(
        {
          routes: [
            {
              method: 'GET',
              pattern: '/slow',
              async fetch() {
                await arrived.promise;
                return new Response('done');
              },
              h3Datagram(payload) {
                seen.push(text(payload));
                if (seen.length === 3) arrived.resolve();
              },
            },
          ],
        },
        (stage) =>
          withDatagrams(stage, async (client) => {
            const stream = await begin(client, stage.server.url, '/slow', true);
            for (const word of ['a', 'b', 'c']) await client.sendDatagram(word, { quarterStreamId: 0 });
            assert.match(text((await stream.read()).bytes), /done$/);
            assert.deepEqual(seen, ['a', 'b', 'c']);
            await client.sendDatagram('late', { quarterStreamId: 0 });
            await until('a drop', () => stage.server.getStats().h3Datagrams.droppedIncoming === 1n);
            assert.deepEqual(seen, ['a', 'b', 'c']);
          }),
      );
    },
  },
  {
    name: 'a handler of datagrams that throws or rejects goes to the logger and harms nobody',
    run: () =>
      withServer(
        {
          routes: [
            {
              method: 'GET',
              pattern: '/',
              h3Datagram(payload, context) {
                const word = text(payload);
                if (word === 'throw') throw new Error('thrown');
                if (word === 'reject') return Promise.reject(new Error('rejected'));
                context.sendReply(payload);
                return undefined;
              },
            },
          ],
        },
        (stage) =>
          withDatagrams(stage, async (client) => {
            const stream = await begin(client, stage.server.url, '/');
            for (const word of ['throw', 'reject', 'fine'])
              await client.sendDatagram(word, { quarterStreamId: 0 });
            assert.deepEqual(
              (await client.readDatagrams()).map((data) => text(data.subarray(1))),
              ['fine'],
            );
            await stream.reset(0x10c);
            const logged = stage.log.take().map((entry) => (entry[1] as Error).message);
            assert.deepEqual(logged.sort(), ['rejected', 'thrown']);
          }),
      ),
  },
  {
    name: 'a malformed HTTP datagram closes its connection with H3_DATAGRAM_ERROR',
    run: () =>
      withServer(
        { routes: [{ method: 'GET', pattern: '/', h3Datagram() {} }] },
        async ({ server, connection }) => {
          const client = await Connection.openRaw(server.url, { controlHex: AGREEING });
          await sleep(50);
          await client.sendDatagram(Uint8Array.of(0x40));
          assert.equal((await client.closed()).code, H3_DATAGRAM_ERROR);
          assert.equal((await connection.get('/none')).status, 404);
        },
      ),
  },
  {
    name: 'a burst of 1,000 raw datagrams arrives complete',
    run: () => {
      let received = 0;
      return withServer(
        {
          fetch: () => new Response(),
          quicAlpn: ['burst'],
          quicDatagram() {
            received += 1;
          },
        },
        async ({ server }) => {
          const client = await Connection.openRaw(server.url, { alpn: ['burst'], controlHex: '' });
          await client.sendDatagram(new Uint8Array(600), { count: 1000 });
          await until('all of them', () => received === 1000);
          const { quicDatagrams } = server.getStats();
          assert.equal(quicDatagrams.received, 1000n);
          await client.close();
        },
      );
    },
  },
  {
    name: 'options of datagrams are checked',
    run: () => {
      const fetch = (): Response => new Response();
      const refuse = (options: object, code: string): void => {
        assert.throws(() => createH3Server({ hostname: '127.0.0.1', fetch, ...options }), { code });
      };
      refuse({ quicDatagram: 1 }, 'ERR_H3_OPTION_TYPE');
      refuse({ quicAlpn: 'x' }, 'ERR_H3_OPTION_TYPE');
      refuse({ quicAlpn: [''] }, 'ERR_H3_OPTION_TYPE');
      refuse({ quicAlpn: ['h3'] }, 'ERR_H3_OPTION_TYPE');
      refuse({ quicDatagramFallback: 1 }, 'ERR_H3_OPTION_TYPE');
      refuse({ onConnection: {} }, 'ERR_H3_OPTION_TYPE');
      refuse({ limits: { datagramMaxAgeMs: 0 } }, 'ERR_H3_OPTION_RANGE');
      const h3Datagram = (): void => undefined;
      refuse(
        { routes: [{ method: 'GET', pattern: '/', mode: 'buffered', h3Datagram }] },
        'ERR_H3_ROUTE_HANDLER',
      );
    },
  },
];
