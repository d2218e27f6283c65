/** Does something once at the end of the turn in which it was asked for, however often that was. */
export class TurnEnd {
  #isAwaited = false;
  readonly #run: () => void;

  constructor(act: () => void) {
    this.#run = () => {
      this.#isAwaited = false;
      act();
    };
  }

  /** Asks for it. */
  await(): void {
    if (this.#isAwaited) return;
    this.#isAwaited = true;
    queueMicrotask(this.#run);
  }
}
