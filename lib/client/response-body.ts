import { pulledStream } from '../body.js';
import { ignore, terminated } from './failure.js';
import type { Liveness } from './liveness.js';

/**
 * The body of a response as its reader sees it: ends with the reason of `signal` as soon as that aborts, also while nobody
 * reads (Fetch §5.6, "abort the fetch() call"), and with a TypeError whose `cause` says why if the content ends early. While
 * somebody waits for more the process is kept alive.
 */
export function deliver(
  source: ReadableStream<Uint8Array>,
  signal: AbortSignal | null,
  liveness: Liveness,
): ReadableStream<Uint8Array> {
  const delivery = new Delivery(source, signal, liveness);
  return pulledStream({
    start: (controller) => delivery.start(controller),
    pull: (controller) => delivery.pull(controller),
    cancel: (reason) => delivery.cancel(reason),
  });
}

class Delivery {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #signal: AbortSignal | null;
  readonly #liveness: Liveness;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #stopListening: (() => void) | null = null;
  #over = false;

  constructor(source: ReadableStream<Uint8Array>, signal: AbortSignal | null, liveness: Liveness) {
    this.#reader = source.getReader();
    this.#signal = signal;
    this.#liveness = liveness;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    const signal = this.#signal;
    if (signal === null) return;
    // A signal may live for as long as the program: it must not hold a response that nobody wants any more.
    const weak = new WeakRef(this);
    const listener = (): void => weak.deref()?.abort();
    signal.addEventListener('abort', listener, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', listener);
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#liveness.enter();
    try {
      const { done, value } = await this.#reader.read();
      if (this.#over) return;
      if (!done) {
        controller.enqueue(value);
        return;
      }
      this.#finish();
      controller.close();
    } catch (cause) {
      if (this.#over) return;
      this.#finish();
      throw terminated(cause);
    } finally {
      this.#liveness.leave();
    }
  }

  cancel(reason: unknown): Promise<void> {
    this.#finish();
    return this.#reader.cancel(reason);
  }

  abort(): void {
    if (this.#over) return;
    this.#finish();
    const reason: unknown = this.#signal?.reason;
    this.#controller?.error(reason);
    this.#reader.cancel(reason).catch(ignore);
  }

  #finish(): void {
    this.#over = true;
    this.#stopListening?.();
  }
}
