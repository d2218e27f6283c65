import { setInterval } from 'node:timers';

/** Longest delay that every runtime's timers take. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * Whether the runtime itself takes Responses, and looks behind their members: `Bun.write(path, response)`, `Deno.serve`. Node
 * has nothing of the kind.
 */
export const takesResponses: boolean = 'Bun' in globalThis || 'Deno' in globalThis;

/**
 * Keeps the process alive while it is held. The native part wakes JavaScript without keeping it alive, because reference
 * counting of native handles differs between runtimes; a timer behaves the same on Node, Bun and Deno.
 */
export class KeepAlive {
  #timer: NodeJS.Timeout | null = null;
  #referenced = true;

  /** Holds the process from now on, unless {@link unref} was called. */
  hold(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => undefined, FOREVER_MS);
    if (!this.#referenced) this.#timer.unref();
  }

  /** Lets go. */
  release(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Lets the holding keep the process alive again. */
  ref(): void {
    this.#referenced = true;
    this.#timer?.ref();
  }

  /** Holding no longer keeps the process alive. */
  unref(): void {
    this.#referenced = false;
    this.#timer?.unref();
  }
}
