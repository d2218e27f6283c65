// Datagrams of sessions of our client (W3C WebTransport §5).

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type H3Server, WebTransport, type WebTransportDatagrams } from 'trilane';
import { soon, until } from '../harness/deadline.js';
import { LossyPath } from '../harness/lossy-path.js';
import { onSessions as on } from '../harness/session-stage.js';
import type { Spec } from './spec.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);

async function read(datagrams: WebTransportDatagrams): Promise<string> {
  const reader = datagrams.readable.getReader();
  const { value } = await soon('a datagram', reader.read());
  reader.releaseLock();
  return text(value);
}

export const specs: Spec[] = [
  on('datagrams go both ways, through every writable', async ({ open }) => {
    const { client, server } = await open();
    const first = client.datagrams.writable.getWriter();
    await first.write(bytes('one'));
    assert.equal(await read(server.datagrams), 'one');
    const second = client.datagrams.createWritable().getWriter();
    await second.write(bytes('two'));
    assert.equal(await read(server.datagrams), 'two');
    await second.close();
    await first.write(bytes('three'));
    assert.equal(await read(server.datagrams), 'three');
    server.sendDatagram(bytes('back'));
    assert.equal(await read(client.datagrams), 'back');
    await first.write(new Uint8Array(0));
    assert.equal(await read(server.datagrams), '');
  }),
  on('a datagram has memory of its own, as in browsers', async ({ open }) => {
    const { client, server } = await open();
    const reader = client.datagrams.readable.getReader();
    for (const message of ['one', 'two']) server.sendDatagram(bytes(message));
    const first = (await soon('the first', reader.read())).value as Uint8Array<ArrayBuffer>;
    assert.equal(first.buffer.byteLength, 3);
    structuredClone(first.buffer, { transfer: [first.buffer] });
    assert.equal(text((await soon('the second', reader.read())).value), 'two');
  }),
  on('one that is too large is dropped, one that is no bytes errors its writable', async ({ open }) => {
    const { client, server } = await open();
    const writer = client.datagrams.writable.getWriter();
    writer.closed.catch(() => undefined);
    await writer.write(new Uint8Array(client.datagrams.maxDatagramSize + 1));
    await writer.write(bytes('small'));
    assert.equal(await read(server.datagrams), 'small');
    await assert.rejects(writer.write('text' as unknown as Uint8Array), TypeError);
    await client.datagrams.createWritable().getWriter().write(bytes('still'));
    assert.equal(await read(server.datagrams), 'still');
  }),
  on('what is written while the session connects is sent once it is open', async ({ ask, open }) => {
    await open();
    const session = ask();
    session.datagrams.outgoingHighWaterMark = 2;
    const writer = session.datagrams.writable.getWriter();
    for (const message of ['one', 'two', 'three']) await writer.write(bytes(message));
    await soon('ready', session.ready);
    assert.equal(session.reliability, 'supports-unreliable');
  }),
  on('marks and ages are kept as the draft wants them', async ({ open }) => {
    const { datagrams } = (await open()).client;
    assert.deepEqual([datagrams.incomingMaxAge, datagrams.outgoingMaxAge], [null, null]);
    assert.deepEqual([datagrams.incomingHighWaterMark, datagrams.outgoingHighWaterMark], [1024, 1024]);
    datagrams.incomingHighWaterMark = 0;
    datagrams.outgoingHighWaterMark = 0.5;
    assert.deepEqual([datagrams.incomingHighWaterMark, datagrams.outgoingHighWaterMark], [1, 1]);
    datagrams.incomingMaxBufferedDatagrams = 7;
    datagrams.outgoingMaxBufferedDatagrams = 8;
    assert.deepEqual([datagrams.incomingHighWaterMark, datagrams.outgoingHighWaterMark], [7, 8]);
    datagrams.incomingMaxAge = 5;
    datagrams.outgoingMaxAge = 6;
    assert.deepEqual([datagrams.incomingMaxAge, datagrams.outgoingMaxAge], [5, 6]);
    datagrams.incomingMaxAge = 0;
    datagrams.outgoingMaxAge = null;
    assert.deepEqual([datagrams.incomingMaxAge, datagrams.outgoingMaxAge], [null, null]);
    for (const name of [
      'incomingMaxAge',
      'outgoingMaxAge',
      'incomingHighWaterMark',
      'outgoingHighWaterMark',
    ] as const) {
      for (const value of [-1, Number.NaN]) {
        assert.throws(() => {
          datagrams[name] = value;
        }, RangeError);
      }
    }
  }),
  on('of more than incomingHighWaterMark that wait, the oldest go', async ({ open }) => {
    const { client, server } = await open();
    client.datagrams.incomingHighWaterMark = 2;
    for (const message of ['one', 'two', 'three']) server.sendDatagram(bytes(message));
    const dropped = async (): Promise<number> => (await client.getStats()).datagrams.droppedIncoming;
    let seen = 0;
    await until('one to be dropped', () => {
      void dropped().then((count) => {
        seen = count;
      });
      return seen > 0;
    });
    assert.deepEqual([await read(client.datagrams), await read(client.datagrams)], ['two', 'three']);
  }),
  on('what waits longer than incomingMaxAge is not read any more', async ({ open }) => {
    const { client, server } = await open();
    client.datagrams.incomingMaxAge = 30;
    server.sendDatagram(bytes('old'));
    await sleep(150);
    server.sendDatagram(bytes('new'));
    assert.equal(await read(client.datagrams), 'new');
    assert.deepEqual((await client.getStats()).datagrams, {
      droppedIncoming: 0,
      expiredIncoming: 1,
      expiredOutgoing: 0,
    });
  }),
  on('a BYOB reader gets whole datagrams into its own buffer, or a RangeError', async ({ open }) => {
    const { client, server } = await open('/', { datagramsReadableType: 'bytes' });
    const reader = client.datagrams.readable.getReader({ mode: 'byob' });
    server.sendDatagram(bytes('seven.!'));
    const { value } = await soon('a datagram', reader.read(new Uint8Array(64)));
    assert.equal(text(value), 'seven.!');
    assert.equal(value?.buffer.byteLength, 64);
    server.sendDatagram(bytes('too long for this'));
    await assert.rejects(soon('an error', reader.read(new Uint8Array(4))), RangeError);
  }),
  on('a stream of bytes ends with the session, and gives buffers back', async ({ open }) => {
    const { client, server } = await open('/', { datagramsReadableType: 'bytes' });
    const reader = client.datagrams.readable.getReader({ mode: 'byob' });
    const reading = reader.read(new Uint8Array(64));
    server.close();
    assert.equal((await soon('the end', reading)).done, true);
  }),
  on('writing waits once outgoingHighWaterMark wait to be sent', ({ server }) =>
    onDeadPath(server, async ({ datagrams }) => {
      datagrams.outgoingHighWaterMark = MARK;
      const writer = datagrams.writable.getWriter();
      const { taken, waiting } = await writeUntilItWaits(writer);
      assert.ok(taken >= MARK, `${taken} were taken`);
      return () => soon('the write that waited', waiting);
    }),
  ),
  on('outgoingMaxAge lets what is old go, and writing goes on', ({ server }) =>
    onDeadPath(server, async ({ datagrams }) => {
      datagrams.outgoingHighWaterMark = MARK;
      datagrams.outgoingMaxAge = 20;
      const writer = datagrams.writable.getWriter();
      for (let written = 0; written < 1_000; written += 1) {
        await soon(`write ${written}`, writer.write(new Uint8Array(SIZE)));
      }
    }),
  ),
  on(
    'what waits longer than outgoingMaxAge is not sent any more, and counted',
    async ({ server }) => {
      const fate = { drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
      const path = await LossyPath.open(server.port, fate, 1);
      const session = new WebTransport(path.url, {
        serverCertificateHashes: [{ algorithm: 'sha-256', value: server.certificateHash }],
        client: { idleTimeoutMs: 4_000 },
      });
      try {
        await soon('ready', session.ready);
        session.datagrams.outgoingMaxAge = 20;
        const writer = session.datagrams.createWritable().getWriter();
        writer.closed.catch(() => undefined);
        // Nothing is acknowledged any more: QUIC's window fills, then ours.
        fate.drop = 1;
        for (let n = 0; n < 1_000; n++) writer.write(new Uint8Array(1_000)).catch(() => undefined);
        let expired = 0;
        const ending = performance.now() + 3_000;
        while (expired < 500 && performance.now() < ending) {
          await sleep(20);
          expired = (await session.getStats()).datagrams.expiredOutgoing;
        }
        assert.ok(expired >= 500, `${expired} expired`);
        session.close();
        assert.ok((await session.getStats()).datagrams.expiredOutgoing >= expired, 'the last count');
      } finally {
        session.close();
        path.close();
      }
    },
    { limits: { idleTimeoutMs: 4_000 } },
  ),
];

const SIZE = 1_000;
const MARK = 8;
/** More than QUIC's first congestion window, what a probe sends, and what may wait. */
const MOST_TAKEN = 2_000;

/** Writes until one write is not done for a while: `waiting`, the one behind the `taken`. */
async function writeUntilItWaits(
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<{ readonly taken: number; readonly waiting: Promise<void> }> {
  for (let taken = 0; taken < MOST_TAKEN; taken += 1) {
    const waiting = writer.write(new Uint8Array(SIZE));
    const over = new AbortController();
    const { signal } = over;
    const isDone = await Promise.race([waiting.then(() => true), sleep(500, false, { signal })]);
    over.abort();
    if (!isDone) return { taken, waiting };
  }
  throw new Error(`${MOST_TAKEN} datagrams were taken`);
}

/** Runs `run` with a session whose path to the server carries nothing; then the path does again, and what `run` gave is run. */
async function onDeadPath(
  server: H3Server,
  run: (session: WebTransport) => Promise<(() => Promise<void>) | void>,
): Promise<void> {
  const fate = { drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
  const path = await LossyPath.open(server.port, fate, 1);
  try {
    const session = new WebTransport(path.url, {
      serverCertificateHashes: [{ algorithm: 'sha-256', value: server.certificateHash }],
    });
    await soon('ready', session.ready);
    fate.drop = 1;
    const rest = await run(session).finally(() => {
      fate.drop = 0;
    });
    await rest?.();
    session.close();
    // The path is needed until both sides have heard of it.
    await until('the end of the session', () => server.getStats().requestsActive === 0);
  } finally {
    path.close();
  }
}
