import type { H3Error } from '../errors.js';

/**
 * The requests that a client took on and that have no response yet, whatever they wait for: their connection, a redirect, a
 * body that is being opened. A graceful close waits for them, so that none is lost that was accepted.
 */
export class AcceptedRequests {
  #count = 0;
  #refusal: H3Error | null = null;
  readonly #waiting: (() => void)[] = [];

  /** Why no more are taken; null: they are. */
  get refusal(): H3Error | null {
    return this.#refusal;
  }

  /** Takes no more. */
  refuse(reason: H3Error): void {
    this.#refusal = reason;
  }

  /** One more. Only where `refusal` is null. */
  enter(): void {
    this.#count += 1;
  }

  /** One has its response, or failed. */
  leave(): void {
    this.#count -= 1;
    if (this.#count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Runs `work` as one of them. Rejects with why no more are taken. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#refusal !== null) throw this.#refusal;
    this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  /** Resolves when none is left. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
