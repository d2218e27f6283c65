/** In the number of a body: it is the next of the shared ones, and the rest is its length. */
const SHARED = 1 << 30;

/** The bodies of a batch of requests that are whole: the small ones lie one behind the other in one array. */
export class WholeBodies {
  readonly #apart: readonly Uint8Array[];
  readonly #shared: Uint8Array | null;
  #offset = 0;

  constructor(apart: readonly Uint8Array[], shared: Uint8Array | null) {
    this.#apart = apart;
    this.#shared = shared;
  }

  /** That of the next request, by its number; null: there is none. */
  next(number: number): Uint8Array | null {
    const shared = this.#shared;
    if (number < SHARED || shared === null) return this.#apart[number - 1] ?? null;
    const length = number - SHARED;
    const start = shared.byteOffset + this.#offset;
    this.#offset += length;
    return new Uint8Array(shared.buffer, start, length);
  }
}
