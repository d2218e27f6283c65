/** The sending side of an exchange: whether anything can still be sent, and whether what was written has left. */
export abstract class SendSide<Reason extends Error = Error> {
  #gone: Reason | (() => Reason) | null = null;
  #goneListeners: ((reason: Reason) => void)[] | null = null;
  #onDrained: (() => void) | null = null;

  /** Why nothing more can be sent, or null. The reason of many is never asked for, and is made only then. */
  get gone(): Reason | null {
    if (typeof this.#gone === 'function') this.#gone = this.#gone();
    return this.#gone;
  }

  /** Whether nothing more can be sent. */
  get isGone(): boolean {
    return this.#gone !== null;
  }

  /** Calls `listener` once if nothing more can be sent; at once if that is so already. */
  onGone(listener: (reason: Reason) => void): void {
    const { gone } = this;
    if (gone !== null) {
      listener(gone);
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

  /** Nothing more can be sent: only the first reason counts. `first` is called before the listeners. */
  protected giveUp(reason: Reason | (() => Reason), first?: () => void): void {
    if (this.#gone !== null) return;
    this.#gone = reason;
    first?.();
    const listeners = this.#goneListeners;
    this.#goneListeners = null;
    for (const listener of listeners ?? []) listener(this.gone as Reason);
    this.drained();
  }
}
