import type { PackedFields } from './fields.js';
import { unpackHeaders } from './headers.js';

/**
 * The trailers of a request whose body is streamed: known when the body has been read to its end. Nothing is made of them
 * unless somebody asks, and a rejection that nobody awaits is no unhandled one.
 */
export class IncomingTrailers {
  #promise: Promise<Headers> | null = null;
  #settle: ((settled: Promise<Headers>) => void) | null = null;
  #settled: (() => Promise<Headers>) | null = null;

  /** Settles once: with the fields at the end of the body, or with what ended it early. */
  get promise(): Promise<Headers> {
    if (this.#promise === null) {
      this.#promise =
        this.#settled === null
          ? new Promise((resolve) => {
              this.#settle = resolve;
            })
          : this.#settled();
      this.#promise.catch(() => undefined);
    }
    return this.#promise;
  }

  /** The body was read to its end. */
  end(fields: PackedFields | null): void {
    this.#finish(() => Promise.resolve(unpackHeaders(fields ?? '')));
  }

  /** The body ended early, or will never be read. */
  fail(error: unknown): void {
    this.#finish(() => Promise.reject(error));
  }

  #finish(settled: () => Promise<Headers>): void {
    if (this.#settled !== null) return;
    this.#settled = settled;
    this.#settle?.(settled());
  }
}
