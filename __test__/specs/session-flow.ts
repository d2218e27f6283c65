import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WTContext } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { agreeingWithFlowControl, RawSession, WT_FLOW_CONTROL_ERROR } from '../harness/raw-session.js';
import { withServer } from '../harness/stage.js';
import { varint } from '../harness/wire.js';
import type { Spec } from './spec.js';

/** Flow control capsules (draft-ietf-webtrans-http3-16 §5.6). */
const MAX_DATA = 0x190b4d3d;
const MAX_STREAMS_BIDI = 0x190b4d3f;
/** What the server lets a client send ahead in a session, in bytes. */
const WINDOW = 4096;
/** Long enough for what must not happen, in milliseconds. */
const A_WHILE_MS = 100;

/** A session of a client that speaks flow control and lets the server have `grants` at first. */
function flow(
  name: string,
  grants: { dataBytes: number; bidi: number; uni: number },
  webtransport: (context: WTContext) => void | Promise<void>,
  run: (client: RawSession) => Promise<void>,
): Spec {
  return {
    name,
    run: () =>
      withServer(
        {
          limits: { sessionReceiveWindowBytes: WINDOW, maxSessionStreams: 2, maxSessionUniStreams: 1 },
          routes: [{ method: 'CONNECT', pattern: '/', webtransport }],
        },
        async ({ server }) => {
          const client = await RawSession.ask(server.url, '/', [], agreeingWithFlowControl(grants));
          try {
            await run(client);
          } finally {
            await client.connection.close();
          }
        },
      ),
  };
}

/** Raises a limit of the server. */
function raise(client: RawSession, type: number, value: number): Promise<void> {
  const limit = varint(value);
  return client.capsule(Buffer.concat([varint(type), varint(limit.length), limit]));
}

function streams(): Spec {
  let opened = 0;
  return flow(
    'createBidirectionalStream() waits until the client allows one more',
    { dataBytes: 1000, bidi: 1, uni: 0 },
    async (session) => {
      for (opened = 0; opened < 3; opened += 1) {
        const { writable } = await session.createBidirectionalStream();
        await writable.getWriter().write(Buffer.from(`${opened}`));
      }
    },
    async (client) => {
      for (const nth of [0, 1, 2]) {
        const { bytes } = await client.accept('bidi', 1);
        assert.equal(String(bytes), `${nth}`);
        await sleep(A_WHILE_MS);
        assert.equal(opened, nth + 1);
        await raise(client, MAX_STREAMS_BIDI, nth + 2);
      }
    },
  );
}

function writer(): Spec {
  let written = 0;
  return flow(
    'a writer is held back until the client allows more data',
    { dataBytes: 1000, bidi: 0, uni: 1 },
    async (session) => {
      const writer = (await session.createUnidirectionalStream()).getWriter();
      for (written = 0; written < 3; written += 1)
        await writer.write(new Uint8Array(64 * 1024).fill(written));
      await writer.close();
    },
    async (client) => {
      // The first is the control stream.
      await client.connection.acceptStream('uni');
      const { stream, bytes } = await client.accept('uni', 1000);
      assert.deepEqual(new Set(bytes), new Set([0]));
      await sleep(A_WHILE_MS);
      assert.equal(written, 0);
      await raise(client, MAX_DATA, 64 * 1024);
      await stream.read(63 * 1024);
      await until('the second chunk', () => written === 1);
      await raise(client, MAX_DATA, 2 ** 20);
      assert.equal((await stream.read()).fin, true);
      assert.equal(written, 3);
    },
  );
}

function reader(): Spec {
  let read = 0;
  const go = deferred();
  return flow(
    'a client may send more when its session was read, and what is not read holds it back',
    { dataBytes: 1, bidi: 0, uni: 0 },
    async (session) => {
      await go.promise;
      for await (const stream of session.incomingUnidirectionalStreams) {
        for await (const piece of stream) read += piece.byteLength;
      }
    },
    async (client) => {
      const stream = await client.open('uni', 'x'.repeat(WINDOW));
      go.resolve();
      for (let sent = WINDOW; sent < 10 * WINDOW; sent += WINDOW) {
        await until('all of it', () => read === sent);
        await stream.write({ bytes: Buffer.alloc(WINDOW) });
      }
    },
  );
}

function violation(): Spec {
  const closed = deferred<string>();
  return flow(
    'a client that sends more than it may loses its session',
    { dataBytes: 1, bidi: 0, uni: 0 },
    async (session) => {
      session.closed.then(
        () => closed.resolve('in order'),
        (error) => closed.resolve(error.name),
      );
      for await (const { readable } of session.incomingBidirectionalStreams) {
        await sleep(A_WHILE_MS);
        for await (const _ of readable);
      }
    },
    async (client) => {
      await client.open('bidi', 'x'.repeat(3 * WINDOW));
      assert.equal((await client.connect.read()).resetCode, WT_FLOW_CONTROL_ERROR);
      assert.equal(await soon('the end of the session', closed.promise), 'WebTransportError');
    },
  );
}

export const specs: Spec[] = [streams(), writer(), reader(), violation()];
