import assert from 'node:assert/strict';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { H3ServeOptions, H3Server } from 'trilane';
import { Connection } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { getHeaders } from '../harness/raw-request.js';
import { RawSession } from '../harness/raw-session.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** SETTINGS with H3_DATAGRAM = 1 on a control stream (RFC 9297 §2.1.1). */
const AGREEING = '0004023301';
const BURST = 1000;

type Layer = 'quicDatagrams' | 'h3Datagrams' | 'webtransportDatagrams';
type Send = (data: Uint8Array) => boolean;

/** One layer: how a client reaches it, and what its handler gets. */
interface Scene {
  readonly name: string;
  readonly layer: Layer;
  /** In front of each payload on the wire. */
  readonly prefix: number;
  options(take: (payload: Uint8Array, send: Send) => void): H3ServeOptions;
  open(server: H3Server): Promise<Connection>;
}

const SCENES: readonly Scene[] = [
  {
    name: 'raw',
    layer: 'quicDatagrams',
    prefix: 0,
    options: (take) => ({
      fetch: () => new Response(),
      quicAlpn: ['policy'],
      quicDatagram: (payload, context) => take(payload, (data) => context.sendReply(data)),
    }),
    open: (server) => Connection.openRaw(server.url, { alpn: ['policy'], controlHex: '' }),
  },
  {
    name: 'HTTP',
    layer: 'h3Datagrams',
    prefix: 1,
    options: (take) => ({
      routes: [
        {
          method: 'GET',
          pattern: '/',
          h3Datagram: (payload, context) => take(payload, (data) => context.sendReply(data)),
        },
      ],
    }),
    async open(server) {
      const client = await Connection.openRaw(server.url, { controlHex: AGREEING });
      const stream = await client.openStream();
      await stream.write({ headers: getHeaders(server.url) });
      await stream.read(3);
      return client;
    },
  },
  {
    name: 'WebTransport',
    layer: 'webtransportDatagrams',
    prefix: 1,
    options: (take) => ({
      routes: [
        {
          method: 'CONNECT',
          pattern: '/',
          async webtransport(session) {
            for await (const payload of session.datagrams.readable) {
              take(payload, (data) => session.sendDatagram(data));
            }
          },
        },
      ],
    }),
    async open(server) {
      const { connection, connect } = await RawSession.ask(server.url, '/');
      await connect.read(3);
      return connection;
    },
  },
];

/** A datagram of `length` bytes that begins with its number. */
function numbered(number: number, length: number): Uint8Array {
  const data = new Uint8Array(length);
  new DataView(data.buffer).setUint32(0, number);
  return data;
}

const numberOf = (data: Uint8Array, prefix = 0): number =>
  new DataView(data.buffer, data.byteOffset + prefix).getUint32(0);

function send(client: Connection, { prefix }: Scene, data: Uint8Array, count = 1): Promise<void> {
  return client.sendDatagram(data, { count, ...(prefix > 0 && { quarterStreamId: 0 }) });
}

/** All layers. */
function each(name: string, run: (scene: Scene) => Promise<void>): Spec[] {
  return SCENES.map((scene) => ({ name: `${scene.name}: ${name}`, run: () => run(scene) }));
}

/** What a flood may add to the memory of the process: its queues are of 1 MiB and less, the rest is garbage not yet collected. */
const FLOOD_MEMORY = 32 * 1024 * 1024;
/** What V8's young generation may grow by, once in a process: to three times 16 MiB. */
const YOUNG_GENERATION = 48 * 1024 * 1024;

/** What a handler queued is sent or counted as dropped, and nothing else is. */
async function settled(
  server: H3Server,
  layer: Layer,
  queued: number,
): Promise<{ sent: number; dropped: number }> {
  const counts = (): { sent: number; dropped: number } => {
    const { sent, droppedOutgoing } = server.getStats()[layer];
    return { sent: Number(sent), dropped: Number(droppedOutgoing) };
  };
  await until(`${queued} datagrams to be sent or dropped`, () => {
    const { sent, dropped } = counts();
    return sent + dropped >= queued;
  });
  const { sent, dropped } = counts();
  assert.equal(sent + dropped, queued);
  return { sent, dropped };
}

/** The connections of the server count the same, each for itself: all of it is of one of them. */
function connectionCounts(
  server: H3Server,
  layer: Layer,
  { sent, dropped }: { readonly sent: number; readonly dropped: number },
): void {
  const counts = server.connections().map((connection) => connection[layer]);
  const busy = counts.filter(({ sent, droppedOutgoing }) => sent + droppedOutgoing > 0n);
  assert.deepEqual(
    busy.map((one) => [Number(one.sent), Number(one.droppedOutgoing)]),
    [[sent, dropped]],
  );
}

export const specs: Spec[] = [
  ...each('a burst of 1,000 arrives complete, in order', (scene) => {
    const seen: number[] = [];
    return withServer(
      scene.options((payload) => seen.push(payload.byteLength)),
      async ({ server }) => {
        const client = await scene.open(server);
        await send(client, scene, new Uint8Array(100), BURST);
        await until('all of them', () => seen.length === BURST);
        assert.equal(server.getStats()[scene.layer].received, BigInt(BURST));
        const of = server.connections().map((connection) => connection[scene.layer].received);
        assert.deepEqual(of.sort(), [0n, BigInt(BURST)]);
        await client.close();
      },
    );
  }),
  ...each('a burst of 1,000 goes out complete, in order', (scene) => {
    const take = (_payload: Uint8Array, reply: Send): void => {
      for (let number = 0; number < BURST; number += 1) assert.equal(reply(numbered(number, 100)), true);
    };
    return withServer(scene.options(take), async ({ server }) => {
      const client = await scene.open(server);
      const reading = client.readDatagrams(BURST);
      await send(client, scene, numbered(0, 8));
      const numbers = (await reading).map((data) => numberOf(data, scene.prefix));
      assert.deepEqual(numbers, [...Array(BURST).keys()]);
      assert.deepEqual(await settled(server, scene.layer, BURST), { sent: BURST, dropped: 0 });
      await client.close();
    });
  }),
  ...each('a full queue drops the oldest and counts them, and what was sent arrives', (scene) => {
    const count = 4000;
    const take = (_payload: Uint8Array, reply: Send): void => {
      for (let number = 0; number < count; number += 1) reply(numbered(number, 1000));
    };
    const limits = { datagramSendQueueBytes: 50_000 };
    return withServer({ ...scene.options(take), limits }, async ({ server }) => {
      const client = await scene.open(server);
      await send(client, scene, numbered(0, 8));
      const { sent, dropped } = await settled(server, scene.layer, count);
      assert.ok(dropped > 0, 'nothing was dropped');
      connectionCounts(server, scene.layer, { sent, dropped });
      const received = await client.readDatagrams(sent);
      const numbers = received.map((data) => numberOf(data, scene.prefix));
      assert.equal(numbers.length, sent);
      assert.equal(numbers.at(-1), count - 1, 'the newest is kept');
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
      await client.close();
    });
  }),
  ...each('a flood of 100,000 is sent or counted as dropped, in little memory', (scene) => {
    const count = 100_000;
    const take = (_payload: Uint8Array, reply: Send): void => {
      const data = new Uint8Array(64);
      for (let number = 0; number < count; number += 1) reply(data);
    };
    return withServer(scene.options(take), async ({ server }) => {
      const client = await scene.open(server);
      const before = process.memoryUsage().rss;
      await send(client, scene, numbered(0, 8));
      const { sent, dropped } = await settled(server, scene.layer, count);
      const grown = process.memoryUsage().rss - before;
      measuredMemory(grown, `100,000 datagrams were sent (${sent}) or dropped (${dropped})`);
      assert.ok(grown < FLOOD_MEMORY, `${grown} bytes more`);
      connectionCounts(server, scene.layer, { sent, dropped });
      await client.close();
    });
  }),
  ...each('a flood of 100,000 comes in or is counted as dropped, in little memory', (scene) => {
    const count = 100_000;
    let taken = 0;
    return withServer(
      scene.options(() => {
        taken += 1;
      }),
      async ({ server }) => {
        const client = await scene.open(server);
        const counts = () => server.getStats()[scene.layer];
        // Returns how much more memory there was meanwhile. Not so small that they count as frames without content: those end the
        // connection. Not so many at once that the client drops them.
        const flood = async (): Promise<number> => {
          const before = process.memoryUsage().rss;
          let most = 0;
          for (let sent = 0; sent < count; sent += 5000) {
            await send(client, scene, new Uint8Array(64), 5000);
            await sleep(10);
            most = Math.max(most, process.memoryUsage().rss - before);
          }
          return most;
        };
        // The heap finds its size in the first one, so what each flood costs shows in the second. The first has a bound of its own:
        // memory that it took and gave back to the allocator would hide there.
        const first = await flood();
        const most = await flood();
        const came = () => Number(counts().received + counts().droppedIncoming);
        for (let before = -1; came() > before; await sleep(100)) before = came();
        const { received, droppedIncoming } = counts();
        assert.equal(taken, Number(received));
        measuredMemory(first, '100,000 datagrams came in, the first of the process');
        measuredMemory(most, `100,000 more came in; of both floods ${received}, dropped ${droppedIncoming}`);
        assert.ok(first < FLOOD_MEMORY + YOUNG_GENERATION, `${first} bytes more in the first`);
        assert.ok(most < FLOOD_MEMORY, `${most} bytes more`);
        // What the kernel had no room for was never ours.
        assert.ok(came() <= 2 * count && came() > count / 2, `${came()} came`);
        const own = server.connections().map((connection) => connection[scene.layer]);
        assert.deepEqual(
          own.filter((one) => one.received > 0n),
          [counts()],
        );
        await client.close();
      },
    );
  }),
  ...each('what waited longer than datagramMaxAgeMs is dropped and counted', (scene) => {
    const count = 4000;
    const take = (_payload: Uint8Array, reply: Send): void => {
      for (let number = 0; number < count; number += 1) reply(numbered(number, 1000));
    };
    const limits = { datagramSendQueueBytes: 64 * 1024 * 1024, datagramMaxAgeMs: 1 };
    return withServer({ ...scene.options(take), limits }, async ({ server }) => {
      const client = await scene.open(server);
      await send(client, scene, numbered(0, 8));
      const { sent, dropped } = await settled(server, scene.layer, count);
      assert.ok(dropped > 0, 'nothing was dropped');
      connectionCounts(server, scene.layer, { sent, dropped });
      assert.equal((await client.readDatagrams(sent)).length, sent);
      await client.close();
    });
  }),
  ...each('what waits when its client vanishes is counted as dropped', (scene) => {
    const count = 2000;
    const go = deferred();
    const take = (_payload: Uint8Array, reply: Send): void => {
      const flood = (): void => {
        for (let number = 0; number < count; number += 1) reply(numbered(number, 1000));
      };
      void go.promise.then(flood);
    };
    const limits = { idleTimeoutMs: 500, datagramSendQueueBytes: 64 * 1024 * 1024 };
    return withServer({ ...scene.options(take), limits }, async ({ server }) => {
      const client = await scene.open(server);
      await send(client, scene, numbered(0, 8));
      await until('the datagram', () => server.getStats()[scene.layer].received === 1n);
      await client.vanish();
      go.resolve();
      const { dropped } = await settled(server, scene.layer, count);
      assert.ok(dropped > 0, 'nothing was dropped');
    });
  }),
  ...each('10,000 at half the speed of a burst arrive, 99 of 100 at least', (scene) => {
    let received = 0;
    const take = (): void => {
      received += 1;
    };
    return withServer(scene.options(take), async ({ server }) => {
      const client = await scene.open(server);
      const begun = performance.now();
      await send(client, scene, new Uint8Array(200), BURST);
      await until('a burst', () => received === BURST);
      const pauseMs = (2 * (performance.now() - begun)) / (BURST / 100);
      received = 0;
      for (let burst = 0; burst < 100; burst += 1) {
        await send(client, scene, new Uint8Array(200), 100);
        await sleep(pauseMs);
      }
      await soon('the last', sleep(200));
      assert.ok(received >= 9_900, `${received} arrived`);
      await client.close();
    });
  }),
  {
    name: 'a session that nobody reads keeps the newest 1,024 datagrams, and counts those it dropped',
    run: () => {
      const session = deferred<{ readonly datagrams: { readonly readable: ReadableStream<Uint8Array> } }>();
      const routes = [
        {
          method: 'CONNECT',
          pattern: '/',
          webtransport: (context: Parameters<typeof session.resolve>[0]) => {
            session.resolve(context);
          },
        },
      ];
      return withServer({ routes: routes as never }, async ({ server }) => {
        const { connection, connect } = await RawSession.ask(server.url, '/');
        await connect.read(3);
        const count = 1500;
        for (let number = 0; number < count; number += 1) {
          await connection.sendDatagram(numbered(number, 20), { quarterStreamId: 0 });
        }
        const counts = () => server.getStats().webtransportDatagrams;
        await until('the drops', () => counts().droppedIncoming === BigInt(count - 1024));
        assert.equal(counts().received, 1024n);
        const own = server.connections().map(({ webtransportDatagrams }) => webtransportDatagrams);
        assert.deepEqual(
          own.filter(({ received }) => received > 0n),
          [counts()],
        );
        const reader = (await session.promise).datagrams.readable.getReader();
        const first = await soon('a datagram', reader.read());
        assert.equal(numberOf(first.value as Uint8Array), count - 1024);
        await connection.close();
      });
    },
  },
];
