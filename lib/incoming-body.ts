import { clearTimeout, setTimeout } from 'node:timers';
import type { NativeBody, NativeExchanges, NativeFailure } from '../binding.cjs';
import { pulledStream } from './body.js';
import { H3Error } from './errors.js';
import { IncomingTrailers } from './incoming-trailers.js';
import { fromNative } from './native-error.js';
import { ageBy } from './young-generation.js';

/** How a body is read. */
export interface Reading {
  /** Time within which something must come while it is read, and what the reader gets else. */
  readonly patience?: { readonly ms: number; readonly error: () => unknown };
  /** The code of the table of errors for one of the native part. */
  readonly failureCode?: (native: string) => string;
}

/** Who waits for a body of these exchanges, by generation. */
const waiting = new WeakMap<NativeExchanges, Map<number, () => void>>();

function untilReadable(native: NativeExchanges, generation: number): Promise<void> {
  let readers = waiting.get(native);
  if (readers === undefined) {
    readers = new Map();
    waiting.set(native, readers);
  }
  const known = readers;
  return new Promise((resolve) => known.set(generation, resolve));
}

/** The native part has something for the reader of this body. */
export function bodyReadable(native: NativeExchanges, generation: number): void {
  const readers = waiting.get(native);
  const resolve = readers?.get(generation);
  readers?.delete(generation);
  resolve?.();
}

/** Time without a read after which the rest of a body is declined, once its request was answered. */
const ABANDONED_AFTER_MS = 5_000;

/**
 * The body of a streaming request. It is asked for when it is first read; each pull takes what has arrived, up to 256 KiB, and
 * what is not pulled stays with the client. What the handler does not want is declined: STOP_SENDING with H3_NO_ERROR, after
 * which a client goes on to read the answer (RFC 9114 §4.1).
 */
export class IncomingBody {
  /**
   * Errors with an {@link H3Error} if the client resets the stream, vanishes, or breaks a rule: a body never looks whole that
   * is not. Cancelling it declines the rest.
   */
  readonly stream: ReadableStream<Uint8Array>;
  readonly trailers = new IncomingTrailers();
  /** Called once it is read to its end, or given up by either side. */
  onOver: (() => void) | null = null;
  readonly #native: NativeExchanges;
  readonly #slot: number;
  readonly #generation: number;
  #body: NativeBody | null = null;
  #pulls = 0;
  #pulling = false;
  #over = false;
  #watched = false;
  #declined: unknown = null;
  readonly #reading: Reading;

  constructor(native: NativeExchanges, slot: number, generation: number, reading: Reading = {}) {
    this.#reading = reading;
    this.#native = native;
    this.#slot = slot;
    this.#generation = generation;
    this.stream = pulledStream({
      pull: (controller) => this.#pull(controller),
      cancel: () =>
        this.#stop(new H3Error('ERR_H3_STREAM_RESET', 'the body was cancelled before its trailers came')),
    });
  }

  /** Nobody is left to read on: the handler failed, or the response was given up. Who does all the same gets `reason`, not an end. */
  decline(
    reason: unknown = new H3Error(
      'ERR_H3_STREAM_RESET',
      'the request was answered, and the rest of its body declined',
    ),
  ): void {
    if (this.#over) return;
    this.#declined = reason;
    // What cannot be declined any more is over.
    this.#stop(this.#declined).catch(() => undefined);
  }

  /**
   * The answer is complete. Reading may go on, since it may not depend on the answer; a body that nobody reads for some
   * seconds is declined, so that the client does not hold the stream open for nothing. One that nobody has begun to read is
   * declined with the exchange, at once.
   */
  answered(reason: () => H3Error): void {
    if (this.#body === null) this.trailers.fail(reason());
    else if (!this.#over && !this.#watched) this.#watch();
  }

  #watch(): void {
    this.#watched = true;
    const pulls = this.#pulls;
    setTimeout(() => {
      if (this.#over) return;
      if (this.#pulling || this.#pulls !== pulls) this.#watch();
      else this.decline();
    }, ABANDONED_AFTER_MS).unref();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#pulls += 1;
    this.#pulling = true;
    const timer = this.#startTimer();
    try {
      if (this.#declined !== null) throw this.#declined;
      this.#body ??= this.#begin();
      let piece = this.#body.take();
      while (piece === null) {
        await untilReadable(this.#native, this.#generation);
        piece = this.#body.take();
      }
      if (this.#declined !== null) throw this.#declined;
      if (piece.byteLength > 0) {
        controller.enqueue(piece);
        ageBy(piece.byteLength);
        return;
      }
      this.#end();
      this.trailers.end(this.#body.takeTrailers());
      controller.close();
    } catch (error) {
      this.#end();
      const failure = this.#failureOf(error);
      this.trailers.fail(failure);
      throw failure;
    } finally {
      this.#pulling = false;
      clearTimeout(timer);
    }
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.onOver?.();
  }

  #begin(): NativeBody {
    const body = this.#native.body(this.#slot, this.#generation);
    if (body !== null) return body;
    const message = 'the request is over: read its body before the answer is complete';
    throw new H3Error('ERR_H3_CONNECTION_CLOSED', message);
  }

  async #stop(reason: unknown): Promise<void> {
    this.#end();
    this.trailers.fail(reason);
    const body = this.#body ?? this.#native.body(this.#slot, this.#generation);
    await body?.[Symbol.asyncIterator]().return();
  }

  #failureOf(error: unknown): unknown {
    const failure = this.#body?.failure ?? null;
    if (failure === null) return error;
    const { code, message, wireCode } = failure;
    const known = this.#reading.failureCode?.(code) ?? code;
    return fromNative({ code: known, message, remote: true, wireCode, cause: causeOf(failure) });
  }

  #startTimer(): ReturnType<typeof setTimeout> | undefined {
    const { patience } = this.#reading;
    if (patience === undefined) return undefined;
    return setTimeout(() => this.decline(patience.error()), patience.ms).unref();
  }
}

/** How the connection ended, if that ended the body. */
function causeOf({ loss }: NativeFailure): H3Error | undefined {
  if (loss === undefined || loss === null) return undefined;
  const { message, remote, wireCode } = loss;
  return new H3Error('ERR_H3_CONNECTION_CLOSED', message, { remote, wireCode });
}
