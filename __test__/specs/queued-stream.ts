// What waits in a queue of ours is read as from any stream, though most of it never goes through one.

import assert from 'node:assert/strict';
import { DatagramOutbox } from '../../lib/datagrams.js';
import { IncomingQueue } from '../../lib/incoming-queue.js';
import { soon } from '../harness/deadline.js';
import type { Spec } from './spec.js';

/** A queue in which `numbers` wait. */
function queueOf(...numbers: number[]): IncomingQueue<{ readonly number: number }> {
  const queue = new IncomingQueue<{ readonly number: number }>({ most: 1024 });
  for (const number of numbers) queue.add({ number });
  return queue;
}

const upTo = (count: number): number[] => [...Array(count).keys()];

/** Ends the loop, or the read, that no end would come to. */
const ending = <Result>(what: string, result: Promise<Result>): Promise<Result> => soon(what, result);

async function rest(stream: ReadableStream<{ readonly number: number }>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { number } of stream) numbers.push(number);
  return numbers;
}

export const specs: Spec[] = [
  {
    name: 'a loop reads what waited, what comes later, and the end, in order',
    async run() {
      const queue = queueOf(0, 1, 2);
      const all = rest(queue.readable);
      for (let number = 3; number < 60; number += 1) {
        queue.add({ number });
        if (number % 3 === 0) await null;
        if (number % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      queue.close();
      assert.deepEqual(await ending('the end', all), upTo(60));
      assert.equal(queue.readable.locked, false);
    },
  },
  {
    name: 'reads that overlap get what comes in the order in which they were asked for',
    async run() {
      const queue = queueOf(0, 1, 2);
      const reader = queue.readable.getReader();
      const early = [reader.read(), reader.read(), reader.read(), reader.read(), reader.read()];
      await Promise.all(early.slice(0, 3));
      queue.add({ number: 3 });
      queue.add({ number: 4 });
      queue.add({ number: 5 });
      const late = [reader.read(), reader.read()];
      queue.add({ number: 6 });
      const read = await ending('all reads', Promise.all([...early, ...late]));
      assert.deepEqual(
        read.map(({ value }) => value?.number),
        upTo(7),
      );
    },
  },
  {
    name: 'what came for a reader who had let go is the first that the next one reads',
    async run() {
      const queue = queueOf(0);
      const first = queue.readable.getReader();
      await first.read();
      const waiting = first.read();
      first.releaseLock();
      await assert.rejects(waiting, TypeError);
      await assert.rejects(first.read(), TypeError);
      for (const number of [1, 2, 3]) queue.add({ number });
      queue.close();
      assert.deepEqual(await ending('the rest', rest(queue.readable)), [1, 2, 3]);
    },
  },
  {
    name: 'a stream has one reader or loop at a time, and no reader with buffers',
    async run() {
      const { readable } = queueOf(0, 1);
      assert.throws(() => readable.getReader({ mode: 'byob' }), TypeError);
      const loop = readable.values();
      assert.equal(readable.locked, true);
      assert.throws(() => readable.getReader(), TypeError);
      assert.throws(() => readable[Symbol.asyncIterator](), TypeError);
      await assert.rejects(readable.cancel(), TypeError);
      await loop.return?.();
      assert.equal(readable.locked, false);
    },
  },
  {
    name: 'a loop that is left cancels the stream, and does not if it was told so',
    async run() {
      let cancelled = 0;
      const queue = new IncomingQueue<number[]>({ most: 9, cancelled: () => (cancelled += 1) });
      for (const number of [0, 1, 2]) queue.add([number]);
      for await (const [number] of queue.readable.values({ preventCancel: true })) if (number === 1) break;
      assert.equal(cancelled, 0);
      for await (const item of queue.readable) {
        assert.deepEqual(item, [2]);
        break;
      }
      assert.equal(cancelled, 1);
      assert.equal(queue.add([3]), 1, 'nobody wants more');
      assert.deepEqual(await queue.readable.getReader().read(), { value: undefined, done: true });
    },
  },
  {
    name: 'a loop ends with what broke the stream off, and what waited is gone',
    async run() {
      const queue = queueOf(0, 1, 2);
      const loop = queue.readable.values();
      assert.equal((await loop.next()).value?.number, 0);
      const reason = new Error('broken off');
      queue.fail(reason);
      await assert.rejects(loop.next(), reason);
      assert.deepEqual(await loop.next(), { value: undefined, done: true });
    },
  },
  {
    name: 'what is asked of a loop behind its end, or its return, finds the end',
    async run() {
      const queue = queueOf(0);
      const loop = queue.readable.values();
      const steps = [loop.next(), loop.next(), loop.next(), loop.return?.('left' as never), loop.next()];
      queue.close();
      const results = await ending('all steps', Promise.all(steps));
      assert.deepEqual(
        results.map((result) => [result?.done, (result?.value as { number?: number } | undefined)?.number]),
        [
          [false, 0],
          [true, undefined],
          [true, undefined],
          [true, undefined],
          [true, undefined],
        ],
      );
      assert.equal(results[3]?.value as unknown, 'left');
    },
  },
  {
    name: 'a pipe and both branches get everything',
    async run() {
      const queue = queueOf(0, 1, 2);
      const [left, right] = queue.readable.tee();
      const piped: number[] = [];
      const pipe = left.pipeTo(new WritableStream({ write: ({ number }) => void piped.push(number) }));
      const other = rest(right);
      queue.add({ number: 3 });
      queue.close();
      await ending('the pipe', pipe);
      assert.deepEqual(piped, upTo(4));
      assert.deepEqual(await ending('the branch', other), upTo(4));
    },
  },
  {
    name: 'what waited too long is not read, however it is read',
    async run() {
      const queue = queueOf(0, 1);
      const loop = queue.readable.values();
      await loop.next();
      queue.maxAgeMs = 5;
      await new Promise((resolve) => setTimeout(resolve, 20));
      const next = loop.next();
      queue.add({ number: 2 });
      assert.equal((await ending('the new one', next)).value?.number, 2);
      assert.equal(queue.expired, 1);
    },
  },
  {
    name: 'loops that answer each datagram in a step of its own send all answers in one call',
    async run() {
      const calls: number[] = [];
      const outbox = new DatagramOutbox('webtransport');
      outbox.connect({
        sendDatagrams: (_layer: string, count: number) => void calls.push(count),
      } as unknown as Parameters<typeof outbox.connect>[0]);
      const queues = [1, 2, 3].map(() => queueOf());
      const loops = queues.map(async (queue, slot) => {
        for await (const { number } of queue.readable) {
          outbox.add(slot, number, new Uint8Array(8));
          if (slot === 2) await Promise.resolve(1).then(() => 2);
        }
      });
      // All of them wait now.
      await new Promise((resolve) => setTimeout(resolve, 1));
      for (const queue of queues) for (const number of upTo(100)) queue.add({ number });
      for (const queue of queues) queue.close();
      await ending('the loops', Promise.all(loops));
      await new Promise((resolve) => setTimeout(resolve, 1));
      assert.deepEqual(calls, [300]);
    },
  },
];
