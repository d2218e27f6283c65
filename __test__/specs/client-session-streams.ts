// Streams of sessions of our client (W3C WebTransport §6.11, §9, §11).

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type WebTransport,
  type WebTransportBidirectionalStream,
  WebTransportError,
  WebTransportReceiveStream,
  WebTransportSendStream,
} from 'trilane';
import { soon } from '../harness/deadline.js';
import { rejection } from '../harness/failure.js';
import { onSessions as on, type SessionStage } from '../harness/session-stage.js';
import type { Spec } from './spec.js';

/** Long enough for what must not happen, in milliseconds. */
const A_WHILE_MS = 100;
const MIB = 1 << 20;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const all = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  return text;
};

async function next<Item>(stream: ReadableStream<Item>): Promise<Item> {
  const reader = stream.getReader();
  const { value } = await soon('a stream of the other side', reader.read());
  reader.releaseLock();
  return value as Item;
}

async function write(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(bytes(text));
  await writer.close();
}

/** Waits until `promise` rejects with a stream's WebTransportError with this code. */
async function streamError(promise: Promise<unknown>, code: number): Promise<void> {
  const error = await rejection(promise);
  assert.ok(error instanceof WebTransportError, String(error));
  assert.deepEqual([error.source, error.streamErrorCode], ['stream', code]);
}

const failing = (streamErrorCode: number): WebTransportError =>
  new WebTransportError('', { streamErrorCode });

/** One stream as both sides have it. */
async function both(
  stage: SessionStage,
): Promise<Record<'ours' | 'theirs', WebTransportBidirectionalStream>> {
  const { client, server } = await stage.open();
  const ours = await client.createBidirectionalStream();
  const writer = ours.writable.getWriter();
  await writer.write(bytes('x'));
  writer.releaseLock();
  const theirs = await next(server.incomingBidirectionalStreams);
  const reader = theirs.readable.getReader();
  await soon('the first byte', reader.read());
  reader.releaseLock();
  return { ours, theirs };
}

/** Writes 16 MiB to a stream that is read only when its writer is held back. Returns the stream, read to its end. */
async function holdsBack(
  from: Pick<WebTransport, 'createUnidirectionalStream'>,
  to: Pick<WebTransport, 'incomingUnidirectionalStreams'>,
): Promise<ReadableStream<Uint8Array>> {
  const writer = (await from.createUnidirectionalStream()).getWriter();
  let written = 0;
  const writing = (async () => {
    for (; written < 16 * MIB; written += 64 * 1024) await writer.write(new Uint8Array(64 * 1024));
    await writer.close();
  })();
  const stream = await next(to.incomingUnidirectionalStreams);
  let before = -1;
  while (before !== written) {
    before = written;
    await sleep(A_WHILE_MS);
  }
  assert.ok(written < 12 * MIB, `${written} bytes were taken`);
  let read = 0;
  for await (const chunk of stream) read += chunk.byteLength;
  await writing;
  assert.equal(read, 16 * MIB);
  return stream;
}

export const specs: Spec[] = [
  on('streams of all four kinds carry bytes to their ends', async ({ open }) => {
    const { client, server } = await open();
    const ours = await client.createBidirectionalStream();
    assert.ok(ours.readable instanceof WebTransportReceiveStream);
    assert.ok(ours.writable instanceof WebTransportSendStream);
    await write(ours.writable, 'to the server');
    const theirs = await next(server.incomingBidirectionalStreams);
    assert.equal(await all(theirs.readable), 'to the server');
    await write(theirs.writable, 'and back');
    assert.equal(await all(ours.readable), 'and back');
    await write(await client.createUnidirectionalStream(), 'one way');
    assert.equal(await all(await next(server.incomingUnidirectionalStreams)), 'one way');
    await write(await server.createUnidirectionalStream(), 'the other way');
    const incoming = await next(client.incomingUnidirectionalStreams);
    assert.ok(incoming instanceof WebTransportReceiveStream);
    assert.equal(await all(incoming), 'the other way');
    const opened = await server.createBidirectionalStream();
    await write(opened.writable, 'from the server');
    const taken = await next(client.incomingBidirectionalStreams);
    assert.equal(await all(taken.readable), 'from the server');
    await write(taken.writable, 'an answer');
    assert.equal(await all(opened.readable), 'an answer');
  }),
  on('a stream that is asked for while the session connects is there once it is open', async ({ ask }) => {
    const session = ask();
    const { writable } = await soon('a stream', session.createBidirectionalStream());
    assert.equal(session.reliability, 'supports-unreliable');
    await write(writable, 'x');
  }),
  on('abort() and cancel() of this side reach the server with their codes', async (stage) => {
    const { ours, theirs } = await both(stage);
    await ours.writable.abort(failing(0xffffffff));
    await ours.readable.cancel(failing(42));
    await streamError(theirs.readable.getReader().read(), 0xffffffff);
    await streamError(theirs.writable.getWriter().closed, 42);
  }),
  on('without a WebTransportError the code is 0', async (stage) => {
    const { ours, theirs } = await both(stage);
    await ours.writable.abort(new Error('any'));
    await ours.readable.cancel();
    await streamError(theirs.readable.getReader().read(), 0);
    await streamError(theirs.writable.getWriter().closed, 0);
  }),
  on('a reset and a stop of the server come with their codes', async (stage) => {
    const { ours, theirs } = await both(stage);
    await theirs.writable.abort(failing(5));
    await theirs.readable.cancel(failing(6));
    await streamError(ours.readable.getReader().read(), 5);
    await streamError(ours.writable.getWriter().closed, 6);
  }),
  on('a server that does not read holds the writer back, and goes on where it stopped', async ({ open }) => {
    const { client, server } = await open();
    await holdsBack(client, server);
  }),
  on('a program that does not read holds the server back', async ({ open }) => {
    const { client, server } = await open();
    const stream = await holdsBack(server, client);
    assert.ok(stream instanceof WebTransportReceiveStream);
    assert.deepEqual(await stream.getStats(), { bytesReceived: 16 * MIB, bytesRead: 16 * MIB });
  }),
  on(
    'one stream more than the server allows is a QuotaExceededError, or waits if it is told to',
    async ({ open }) => {
      const { client, server } = await open();
      const first = await client.createBidirectionalStream();
      const second = await client.createBidirectionalStream();
      const refusal = await rejection(client.createBidirectionalStream());
      assert.ok(refusal instanceof DOMException && refusal.name === 'QuotaExceededError', String(refusal));
      let came = false;
      const waiting = client.createBidirectionalStream({ waitUntilAvailable: true }).then((stream) => {
        came = true;
        return stream;
      });
      await sleep(A_WHILE_MS);
      assert.equal(came, false);
      await write(first.writable, 'done');
      const theirs = await next(server.incomingBidirectionalStreams);
      assert.equal(await all(theirs.readable), 'done');
      await write(theirs.writable, 'done');
      assert.equal(await all(first.readable), 'done');
      await write((await soon('a third stream', waiting)).writable, 'third');
      await second.writable.abort();
    },
    { limits: { maxSessionStreams: 2 } },
  ),
  on(
    'a stream that waits is rejected when the session ends',
    async ({ open }) => {
      const { client } = await open();
      await client.createUnidirectionalStream();
      const waiting = client.createUnidirectionalStream({ waitUntilAvailable: true });
      waiting.catch(() => undefined);
      await sleep(A_WHILE_MS);
      client.close();
      const error = await rejection(waiting);
      assert.ok(error instanceof DOMException && error.name === 'InvalidStateError', String(error));
    },
    { limits: { maxSessionUniStreams: 1 } },
  ),
  on('a reader may bring its own buffers, larger or smaller than what comes', async ({ open }) => {
    const { client, server } = await open();
    const writer = (await server.createUnidirectionalStream()).getWriter();
    await writer.write(bytes('0123456789'));
    const stream = await next(client.incomingUnidirectionalStreams);
    const reader = stream.getReader({ mode: 'byob' });
    const read = async (size: number): Promise<string> => {
      const { value } = await soon('bytes', reader.read(new Uint8Array(size)));
      return new TextDecoder().decode(value);
    };
    assert.equal(await read(4), '0123');
    assert.deepEqual(await stream.getStats(), { bytesReceived: 10, bytesRead: 4 });
    assert.equal(await read(4), '4567');
    assert.equal(await read(100), '89');
    const late = read(100);
    await writer.write(bytes('late'));
    assert.equal(await late, 'late');
    const ended = reader.read(new Uint8Array(7));
    await writer.close();
    const { done, value } = await soon('the end', ended);
    assert.deepEqual([done, value?.byteLength], [true, 0]);
    assert.deepEqual(await stream.getStats(), { bytesReceived: 14, bytesRead: 14 });
  }),
  on('a reader with its own buffer hears of a reset, and can change to chunks', async (stage) => {
    const { ours, theirs } = await both(stage);
    const reader = ours.readable.getReader({ mode: 'byob' });
    const writer = theirs.writable.getWriter();
    await writer.write(bytes('abc'));
    const { value } = await soon('bytes', reader.read(new Uint8Array(1)));
    assert.equal(value?.[0], 0x61);
    reader.releaseLock();
    const chunks = ours.readable.getReader();
    assert.equal(new TextDecoder().decode((await soon('a chunk', chunks.read())).value), 'bc');
    chunks.releaseLock();
    const waiting = ours.readable.getReader({ mode: 'byob' }).read(new Uint8Array(5));
    await writer.abort(failing(12));
    await streamError(waiting, 12);
  }),
  on('chunks that are no bytes are refused, and views are taken', async ({ open }) => {
    const { client, server } = await open();
    const stream = await client.createUnidirectionalStream();
    const writer = stream.getWriter();
    writer.closed.catch(() => undefined);
    await writer.write(new Uint16Array([0x4141]) as unknown as Uint8Array);
    await writer.write(bytes('B').buffer as unknown as Uint8Array);
    const theirs = await next(server.incomingUnidirectionalStreams);
    await assert.rejects(writer.write(5 as unknown as Uint8Array), TypeError);
    await streamError(all(theirs), 0);
    const text = (await client.createUnidirectionalStream()).getWriter();
    text.closed.catch(() => undefined);
    await assert.rejects(text.write('text' as unknown as Uint8Array), TypeError);
  }),
];
