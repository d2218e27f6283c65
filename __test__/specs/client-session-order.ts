// Which streams of a session go first: send orders and groups (W3C WebTransport §6.11, §9, §10).

import assert from 'node:assert/strict';
import {
  type WebTransportDatagramsWritable,
  WebTransportSendGroup,
  type WebTransportSendOptions,
  type WebTransportSendStream,
} from 'trilane';
import { soon } from '../harness/deadline.js';
import { rejection } from '../harness/failure.js';
import { type SessionStage, type SessionStageOptions, withSessions } from '../harness/session-stage.js';
import type { Spec } from './spec.js';

/** Several times what this side keeps until it is acknowledged. */
const MOST = 16 << 20;

function on(
  name: string,
  run: (stage: SessionStage) => Promise<void>,
  options: SessionStageOptions = {},
): Spec {
  return { name, run: () => withSessions(run, options) };
}

/** Waits until `promise` rejects with a DOMException of this name. */
async function domError(promise: Promise<unknown>, name: string): Promise<void> {
  const error = await rejection(promise);
  assert.ok(error instanceof DOMException, String(error));
  assert.equal(error.name, name);
}

/** Writes {@link MOST} bytes, all the same, at once: so there is always more to send. */
async function fill(stream: WebTransportSendStream, mark: number): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(new Uint8Array(MOST).fill(mark));
  await writer.close();
}

/** What opens streams: a side of a session. */
interface Opener {
  createUnidirectionalStream(options?: WebTransportSendOptions): Promise<WebTransportSendStream>;
}

/**
 * Writes to a stream for each place, the first one first, and reads all of them on the other side. Returns, when the first of
 * them has come whole, its number and how much of each had come.
 */
async function race(
  from: Opener,
  to: ReadableStream<ReadableStream<Uint8Array>>,
  places: WebTransportSendOptions[],
): Promise<{ first: number; read: number[] }> {
  const streams: WebTransportSendStream[] = [];
  for (const place of places) streams.push(await from.createUnidirectionalStream(place));
  const written = streams.map((stream, index) => fill(stream, index));
  const read = places.map(() => 0);
  const incoming = to.getReader();
  let result: { first: number; read: number[] } | null = null;
  const reading = places.map(async () => {
    const { value: stream } = await incoming.read();
    let mark = 0;
    for await (const chunk of stream as ReadableStream<Uint8Array>) {
      mark = chunk[0] as number;
      read[mark] = (read[mark] as number) + chunk.byteLength;
    }
    result ??= { first: mark, read: [...read] };
  });
  await soon('all streams', Promise.all([...written, ...reading]));
  incoming.releaseLock();
  assert.deepEqual(
    read,
    places.map(() => MOST),
  );
  return result as unknown as { first: number; read: number[] };
}

export const specs: Spec[] = [
  on(
    'of two streams the later with the higher order ends first, and the other has hardly begun',
    async ({ open }) => {
      const { client, server } = await open();
      const { first, read } = await race(client, server.incomingUnidirectionalStreams, [
        { sendOrder: 1 },
        { sendOrder: 2 },
      ]);
      assert.equal(first, 1);
      assert.ok((read[0] as number) < MOST / 2, `${read[0]} bytes of the lower one`);
    },
  ),
  on('the server orders its streams in the same way', async ({ open }) => {
    const { client, server } = await open();
    const { first, read } = await race(server, client.incomingUnidirectionalStreams, [{ sendOrder: -1 }, {}]);
    assert.equal(first, 1);
    assert.ok((read[0] as number) < MOST / 2, `${read[0]} bytes of the lower one`);
  }),
  on('an order says nothing in another group: groups share', async ({ open }) => {
    const { client, server } = await open();
    const { read } = await race(client, server.incomingUnidirectionalStreams, [
      { sendGroup: client.createSendGroup(), sendOrder: 1 },
      { sendGroup: client.createSendGroup(), sendOrder: 1_000_000 },
      { sendOrder: -5 },
    ]);
    for (const bytes of read) assert.ok(bytes > MOST / 4, `${read.join(', ')} bytes`);
  }),
  on('a higher order that has nothing to send holds nobody up', async ({ open }) => {
    const { client, server } = await open();
    const sendGroup = client.createSendGroup();
    const idle = await client.createUnidirectionalStream({ sendGroup, sendOrder: 9 });
    await idle.getWriter().write(new Uint8Array(1));
    const streams = server.incomingUnidirectionalStreams.getReader();
    await soon('the idle stream', streams.read());
    streams.releaseLock();
    const { read } = await race(client, server.incomingUnidirectionalStreams, [
      { sendGroup, sendOrder: 1 },
      {},
    ]);
    for (const bytes of read) assert.ok(bytes > MOST / 4, `${read.join(', ')} bytes`);
  }),
  on('sendOrder is a long long, and can be changed', async ({ open }) => {
    const { client } = await open();
    const stream = await client.createUnidirectionalStream({ sendOrder: -7 });
    assert.equal(stream.sendOrder, -7);
    const values: [unknown, number][] = [
      [2 ** 40, 2 ** 40],
      [-1.9, -1],
      [2 ** 64, 0],
      [2 ** 63, -(2 ** 63)],
      [Number.NaN, 0],
      [Number.POSITIVE_INFINITY, 0],
      [null, 0],
      ['12', 12],
      [undefined, 0],
    ];
    for (const [given, kept] of values) {
      stream.sendOrder = given as number;
      assert.equal(stream.sendOrder, kept, String(given));
    }
    for (const wrong of [Symbol('s'), 5n]) {
      assert.throws(() => {
        stream.sendOrder = wrong as unknown as number;
      }, TypeError);
    }
  }),
  on('a group belongs to its session', async ({ open }) => {
    const { client } = await open();
    const other = await open();
    const ours = client.createSendGroup();
    const theirs = other.client.createSendGroup();
    assert.ok(ours instanceof WebTransportSendGroup);
    assert.equal(String(ours), '[object WebTransportSendGroup]');
    const stream = await client.createUnidirectionalStream({ sendGroup: ours });
    assert.equal(stream.sendGroup, ours);
    stream.sendGroup = null;
    assert.equal(stream.sendGroup, null);
    assert.throws(
      () => {
        stream.sendGroup = theirs;
      },
      { name: 'InvalidStateError' },
    );
    assert.throws(() => {
      stream.sendGroup = {} as WebTransportSendGroup;
    }, TypeError);
    await assert.rejects(client.createUnidirectionalStream({ sendGroup: theirs }), TypeError);
    await assert.rejects(client.createBidirectionalStream({ sendGroup: theirs }), TypeError);
    await assert.rejects(
      client.createBidirectionalStream({ sendGroup: 1 } as unknown as WebTransportSendOptions),
      TypeError,
    );
    assert.throws(() => new WebTransportSendGroup(undefined as never), TypeError);
    await assert.rejects(other.server.createUnidirectionalStream({ sendGroup: theirs }), TypeError);
  }),
  on('a group counts what its streams wrote, also those that have ended', async ({ open }) => {
    const { client, server } = await open();
    const group = client.createSendGroup();
    assert.deepEqual(await group.getStats(), { bytesWritten: 0 });
    const streams = server.incomingUnidirectionalStreams.getReader();
    for (const bytes of [3, 70_000]) {
      const writer = (await client.createUnidirectionalStream({ sendGroup: group })).getWriter();
      await writer.write(new Uint8Array(bytes));
      const { value } = await soon('a stream', streams.read());
      const ended = writer.close();
      for await (const _ of value as ReadableStream<Uint8Array>);
      await soon('its end', ended);
    }
    const open_ = await client.createUnidirectionalStream();
    await open_.getWriter().write(new Uint8Array(500));
    assert.deepEqual(await group.getStats(), { bytesWritten: 70_003 });
    open_.sendGroup = group;
    assert.deepEqual(await group.getStats(), { bytesWritten: 70_503 });
  }),
  on('a group can be made while the session connects, and not when it is over', async ({ ask }) => {
    const session = ask();
    const sendGroup = session.createSendGroup();
    const stream = await soon('a stream', session.createUnidirectionalStream({ sendGroup, sendOrder: 3 }));
    assert.deepEqual([stream.sendGroup, stream.sendOrder], [sendGroup, 3]);
    session.close();
    assert.throws(() => session.createSendGroup(), { name: 'InvalidStateError' });
    await domError(session.createUnidirectionalStream({ sendGroup }), 'InvalidStateError');
  }),
  on('writers of datagrams keep group and order', async ({ open }) => {
    const { client, server } = await open();
    const sendGroup = client.createSendGroup();
    const foreign = (await open()).client.createSendGroup();
    const writable: WebTransportDatagramsWritable = client.datagrams.createWritable({
      sendGroup,
      sendOrder: 4,
    });
    assert.deepEqual([writable.sendGroup, writable.sendOrder], [sendGroup, 4]);
    writable.sendOrder = 5;
    writable.sendGroup = null;
    assert.deepEqual([writable.sendGroup, writable.sendOrder], [null, 5]);
    assert.throws(
      () => {
        writable.sendGroup = foreign;
      },
      { name: 'InvalidStateError' },
    );
    assert.throws(() => client.datagrams.createWritable({ sendGroup: foreign }), TypeError);
    await writable.getWriter().write(new Uint8Array([7]));
    const { value } = await soon('a datagram', server.datagrams.readable.getReader().read());
    assert.deepEqual([...(value as Uint8Array)], [7]);
  }),
];
