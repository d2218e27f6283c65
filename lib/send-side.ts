/** The sending side of an exchange: whether anything can still be sent, and whether what was written has left. */
export abstract class SendSide<Reason extends Error = Error> {
  #gone: Reason | null = null;
  #goneListeners: ((reason: Reason) => void)[] | null = null;
  #onDrained: (() => void) | null = null;

  /** Why nothing more can be sent, or null. */
  get gone(): Reason | null {
    return this.#gone;
  }

  /** Calls `listener` once if nothing more can be sent; at once if that is so already. */
  onGone(listener: (reason: Reason) => void): void {
    if (this.#gone !== null) {
      listener(this.#gone);
    } else {
      this.#goneListeners ??= [];
      this.#goneListeners.push(listener);
    }
  }

  /** All that was written is sent, or will never be. */
  drained(): void {
    const resolve = this.#onDrained;
    this.#onDrained = null;
    resolve?.();
  }

  /** Resolves when all that was written is sent, or nothing more can be. */
  untilDrained(): Promise<void> {
    if (this.#gone !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrained = resolve;
    });
  }

  /** Nothing more can be sent: only the first reason counts. `first` hears of it before the listeners. */
  protected giveUp(reason: Reason, first?: (reason: Reason) => void): void {
    if (this.#gone !== null) return;
    this.#gone = reason;
    first?.(reason);
    const listeners = this.#goneListeners;
    this.#goneListeners = null;
    for (const listener of listeners ?? []) listener(reason);
    this.drained();
  }
}
