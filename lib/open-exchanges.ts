/** What is kept here: an exchange, by its name. */
interface Named<Self> {
  readonly slot: number;
  readonly generation: number;
  /** The next in the list of its slot. */
  sameSlot: Self | null;
}

/**
 * The exchanges of a server or of a client that are under way, by name. A slot is used again as soon as the native part is done with it, which
 * may be before JavaScript has heard the last of its former user: so each slot has a list, nearly always of one.
 *
 * No Map, because a Map from which things are deleted is rebuilt every few requests, and V8 keeps what was in the former table
 * until the next major collection: a third of all that requests allocate.
 */
export class OpenExchanges<Kept extends Named<Kept>> {
  readonly #slots: (Kept | null)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** It must not be there already. */
  add(exchange: Kept): void {
    const { slot } = exchange;
    while (this.#slots.length <= slot) this.#slots.push(null);
    exchange.sameSlot = this.#slots[slot] ?? null;
    this.#slots[slot] = exchange;
    this.#size += 1;
  }

  get(slot: number, generation: number): Kept | null {
    let exchange = this.#slots[slot] ?? null;
    while (exchange !== null && exchange.generation !== generation) exchange = exchange.sameSlot;
    return exchange;
  }

  has(exchange: Kept): boolean {
    return this.get(exchange.slot, exchange.generation) === exchange;
  }

  /** False if it was not there. */
  delete(exchange: Kept): boolean {
    const { slot } = exchange;
    let before: Kept | null = null;
    let one = this.#slots[slot] ?? null;
    while (one !== null && one !== exchange) {
      before = one;
      one = one.sameSlot;
    }
    if (one === null) return false;
    if (before === null) this.#slots[slot] = exchange.sameSlot;
    else before.sameSlot = exchange.sameSlot;
    exchange.sameSlot = null;
    this.#size -= 1;
    return true;
  }

  /** All of them, as they are now. */
  all(): Kept[] {
    const all: Kept[] = [];
    for (let exchange of this.#slots) {
      for (; exchange !== null; exchange = exchange.sameSlot) all.push(exchange);
    }
    return all;
  }
}
