/**
 * Microtasks in a row that ask for nothing, before a turn counts as calm: more than lie between two steps of a loop that awaits
 * a stream. There is nothing that tells on every runtime when no microtask is left: on Bun `process.nextTick` does not.
 */
const CALM = 8;
/** Its reactions are microtasks. */
const NOW = Promise.resolve();

/**
 * Does something once nobody has asked for it for a moment, within the turn in which it was asked for. Loops that await, one
 * step a microtask, so ask as often as they like for one act; a {@link TurnEnd} would come between their steps.
 */
export class TurnLull {
  readonly #act: () => void;
  readonly #look = (): void => this.#wait();
  #isAwaited = false;
  #asked = false;
  #calm = 0;

  constructor(act: () => void) {
    this.#act = act;
  }

  /** Asks for it. */
  await(): void {
    this.#asked = true;
    if (this.#isAwaited) return;
    this.#isAwaited = true;
    void NOW.then(this.#look);
  }

  #wait(): void {
    this.#calm = this.#asked ? 0 : this.#calm + 1;
    this.#asked = false;
    if (this.#calm < CALM) {
      void NOW.then(this.#look);
      return;
    }
    this.#isAwaited = false;
    this.#calm = 0;
    this.#act();
  }
}
