import type { NativeExchanges, NativeReadHalf, NativeStreamFailure } from '../binding.cjs';
import { chunkBytes, NO_BYTES } from './body.js';
import type { SendGroups, WebTransportSendGroup } from './send-group.js';
import { sessionOver, streamCode, WebTransportError } from './webtransport-error.js';
import { WebTransportReceiveStream, WebTransportSendStream } from './webtransport-streams.js';

/** A stream that carries both ways. */
export interface WebTransportBidirectionalStream {
  /** What the peer sends; `cancel(error)` asks it to stop, with the `streamErrorCode` of a WebTransportError. */
  readonly readable: WebTransportReceiveStream;
  /** What is sent; `abort(error)` resets the stream, with the `streamErrorCode` of a WebTransportError. */
  readonly writable: WebTransportSendStream;
}

/** Which halves of a stream are this side's. */
export interface Halves {
  readonly read: boolean;
  readonly write: boolean;
}

/** Bytes handed over before the writer waits until they are sent. */
const HIGH_WATER_MARK = 64 * 1024;

/** One stream of a session: its native halves as the streams of the platform. */
export class SessionStream {
  readonly slot: number;
  readonly generation: number;
  readonly readable: WebTransportReceiveStream | null;
  readonly writable: WebTransportSendStream | null;
  readonly #native: NativeExchanges;
  readonly #groups: SendGroups;
  readonly #forget: (stream: SessionStream) => void;
  #controller: WritableStreamDefaultController | null = null;
  #readController: ReadableByteStreamController | null = null;
  #waiting: { resolve(): void; reject(reason: unknown): void } | null = null;
  #unsent = 0;
  #openHalves = 0;
  #reading = false;
  #failed: Error | null = null;
  #group: WebTransportSendGroup | null = null;
  /** Bytes that were written and handed to the native part. */
  bytesWritten = 0;

  /** `forget` is called when both halves are done with. */
  constructor(
    native: NativeExchanges,
    groups: SendGroups,
    [slot, generation]: readonly [slot: number, generation: number],
    halves: Halves,
    forget: (stream: SessionStream) => void,
  ) {
    this.slot = slot;
    this.generation = generation;
    this.#native = native;
    this.#groups = groups;
    this.#forget = forget;
    this.#openHalves = Number(halves.read) + Number(halves.write);
    this.#reading = halves.read;
    this.readable = halves.read ? this.#makeReadable() : null;
    this.writable = halves.write ? this.#makeWritable() : null;
  }

  /** What was written is sent, acknowledged to its end, or will never be. */
  hear(event: 'drained' | 'finished' | 'failed', failure: NativeStreamFailure | null): void {
    if (event === 'failed') {
      this.#fail(failureOf(failure));
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve();
    if (event === 'finished') this.#halfDone();
  }

  /** The session is over: both halves end with `error`. */
  over(error: Error): void {
    if (this.#reading) {
      this.#readController?.error(error);
      this.#readDone();
    }
    if (this.writable !== null) this.#fail(error);
  }

  #makeReadable(): WebTransportReceiveStream {
    const half = this.#native.readHalf(this.slot, this.generation);
    const steps = half?.[Symbol.asyncIterator]() ?? null;
    const counted = { bytesReceived: 0, bytesRead: 0 };
    /** Came, and did not fit the reader's buffer. */
    let rest: Uint8Array | null = null;
    const deliver = (controller: ReadableByteStreamController, bytes: Uint8Array): void => {
      // A buffer that is handed over has no length any more.
      const length = bytes.byteLength;
      const left = deliverBytes(controller, bytes);
      counted.bytesRead += length - left.byteLength;
      rest = left.byteLength > 0 ? left : null;
    };
    return new WebTransportReceiveStream({
      get bytesReceived() {
        return counted.bytesReceived;
      },
      get bytesRead() {
        return counted.bytesRead;
      },
      start: (controller) => {
        this.#readController = controller;
      },
      pull: async (controller) => {
        if (rest !== null) {
          deliver(controller, rest);
          return;
        }
        if (half === null || steps === null) throw this.#readFailed(sessionOver());
        try {
          const { done, value } = await steps.next();
          if (!this.#reading) return;
          if (done !== true) {
            counted.bytesReceived += value.byteLength;
            deliver(controller, value);
            return;
          }
        } catch (error) {
          if (!this.#reading) return;
          throw this.#readFailed(readFailure(half, error));
        }
        controller.close();
        // A reader that brought a buffer of its own gets it back.
        controller.byobRequest?.respond(0);
        this.#readDone();
      },
      cancel: (reason) => {
        rest = null;
        half?.stop(streamCode(reason));
        this.#readDone();
      },
    });
  }

  #makeWritable(): WebTransportSendStream {
    const stream = this;
    return new WebTransportSendStream({
      get bytesWritten() {
        return stream.bytesWritten;
      },
      knows: (group) => this.#groups.has(group),
      place: (group, sendOrder) => {
        this.#groups.move(this, this.#group, group);
        this.#group = group;
        this.#native.placeStream(this.slot, this.generation, this.#groups.idOf(group), sendOrder);
      },
      start: (controller) => {
        this.#controller = controller;
      },
      write: async (chunk) => {
        const bytes = this.#bytesOf(chunk);
        if (this.#failed !== null) throw this.#failed;
        this.#unsent += bytes.byteLength;
        this.bytesWritten += bytes.byteLength;
        const full = this.#unsent >= HIGH_WATER_MARK;
        this.#native.writeStream(this.slot, this.generation, bytes, full);
        if (!full) return;
        this.#unsent = 0;
        await this.#wait();
      },
      close: async () => {
        if (this.#failed !== null) throw this.#failed;
        this.#native.finishStream(this.slot, this.generation);
        await this.#wait();
      },
      abort: (reason) => {
        this.#native.resetStream(this.slot, this.generation, streamCode(reason));
      },
    });
  }

  /** A writable that is written what is no bytes is errored, and nobody would abort it: the peer hears of it here. */
  #bytesOf(chunk: unknown): Uint8Array {
    try {
      // W3C WebTransport §9.3: text is no bytes.
      if (typeof chunk === 'string') throw new TypeError('a chunk is text; expected a Uint8Array: encode it');
      return chunkBytes(chunk);
    } catch (error) {
      this.#native.resetStream(this.slot, this.generation, 0);
      throw error;
    }
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #readFailed(error: WebTransportError): WebTransportError {
    this.#readDone();
    return error;
  }

  #readDone(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#halfDone();
  }

  #fail(error: Error): void {
    if (this.#failed !== null) return;
    this.#failed = error;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
    this.#controller?.error(error);
    this.#halfDone();
  }

  #halfDone(): void {
    this.#openHalves -= 1;
    if (this.#openHalves !== 0) return;
    this.#native.forgetStream(this.slot, this.generation);
    this.#groups.end(this, this.#group);
    this.#forget(this);
  }
}

/** Hands over what the reader's buffer takes, or all; returns the rest. */
function deliverBytes(controller: ReadableByteStreamController, bytes: Uint8Array): Uint8Array {
  const request = controller.byobRequest;
  const view = request?.view ?? null;
  if (request === null || view === null) {
    controller.enqueue(bytes);
    return NO_BYTES;
  }
  const taken = Math.min(view.byteLength, bytes.byteLength);
  new Uint8Array(view.buffer, view.byteOffset, taken).set(bytes.subarray(0, taken));
  request.respond(taken);
  return bytes.subarray(taken);
}

function readFailure(half: NativeReadHalf, error: unknown): WebTransportError {
  const { failure } = half;
  return failure === null ? new WebTransportError(String(error)) : failureOf(failure);
}

function failureOf(failure: NativeStreamFailure | null): WebTransportError {
  switch (failure?.cause) {
    case 'peer':
      return new WebTransportError('the peer ended the stream', { streamErrorCode: failure.code ?? null });
    case 'session':
      return sessionOver();
    case 'connection':
      return sessionOver('the connection is gone');
    default:
      return new WebTransportError('the stream was ended');
  }
}
