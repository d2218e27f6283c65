import { KeepAlive } from '../runtime.js';

/**
 * Keeps the process alive while JavaScript waits for the network: for the head of a response, for more of a body, for the
 * end of an upload. A body that nobody reads, and a connection that is only open, hold nothing.
 */
export class Liveness {
  readonly #keepAlive = new KeepAlive();
  #waiting = 0;

  /** Somebody waits from now on. */
  enter(): void {
    this.#waiting += 1;
    if (this.#waiting === 1) this.#keepAlive.hold();
  }

  /** One waits no longer. */
  leave(): void {
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#keepAlive.release();
  }

  /** Waiting keeps the process alive again: the default. */
  ref(): void {
    this.#keepAlive.ref();
  }

  /** Waiting no longer keeps the process alive. */
  unref(): void {
    this.#keepAlive.unref();
  }
}
