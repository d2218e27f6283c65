import type { NativeExchanges, NativeReadHalf, NativeStreamFailure } from '../binding.cjs';
import { chunkBytes, pulledStream } from './body.js';
import { sessionOver, streamCode, WebTransportError } from './webtransport-error.js';

/** A stream that carries both ways. */
export interface WebTransportBidirectionalStream {
  /** What the peer sends; `cancel(error)` asks it to stop, with the `streamErrorCode` of a WebTransportError. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent; `abort(error)` resets the stream, with the `streamErrorCode` of a WebTransportError. */
  readonly writable: WritableStream<Uint8Array>;
}

/** Bytes handed over before the writer waits until they are sent. */
const HIGH_WATER_MARK = 64 * 1024;

/** One stream of a session: its native halves as the streams of the platform. */
export class SessionStream {
  readonly slot: number;
  readonly generation: number;
  readonly readable: ReadableStream<Uint8Array> | null;
  readonly writable: WritableStream<Uint8Array> | null;
  readonly #native: NativeExchanges;
  readonly #forget: (stream: SessionStream) => void;
  #controller: WritableStreamDefaultController | null = null;
  #waiting: { resolve(): void; reject(reason: unknown): void } | null = null;
  #unsent = 0;
  #openHalves = 0;
  #failed: WebTransportError | null = null;

  /** `forget` is called when both halves are done with. */
  constructor(
    native: NativeExchanges,
    [slot, generation]: readonly [slot: number, generation: number],
    halves: { readonly read: boolean; readonly write: boolean },
    forget: (stream: SessionStream) => void,
  ) {
    this.slot = slot;
    this.generation = generation;
    this.#native = native;
    this.#forget = forget;
    this.#openHalves = Number(halves.read) + Number(halves.write);
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

  #makeReadable(): ReadableStream<Uint8Array> {
    const half = this.#native.readHalf(this.slot, this.generation);
    const steps = half?.[Symbol.asyncIterator]() ?? null;
    return pulledStream({
      pull: async (controller) => {
        if (half === null || steps === null) throw this.#readFailed(sessionOver());
        try {
          const { done, value } = await steps.next();
          if (done !== true) {
            controller.enqueue(value);
            return;
          }
        } catch (error) {
          throw this.#readFailed(readFailure(half, error));
        }
        controller.close();
        this.#halfDone();
      },
      cancel: (reason) => {
        half?.stop(streamCode(reason));
        this.#halfDone();
      },
    });
  }

  #makeWritable(): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      write: async (chunk) => {
        const bytes = chunkBytes(chunk);
        if (this.#failed !== null) throw this.#failed;
        this.#unsent += bytes.byteLength;
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

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #readFailed(error: WebTransportError): WebTransportError {
    this.#halfDone();
    return error;
  }

  #fail(error: WebTransportError): void {
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
    this.#forget(this);
  }
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
