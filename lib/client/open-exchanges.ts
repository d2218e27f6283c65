import type { OutgoingExchange } from './outgoing-exchange.js';

/**
 * The requests of a client that are under way, by name. A slot is used again as soon as the native part is done with it, which
 * may be before JavaScript has heard the last of its former user: so each slot has a list, nearly always of one.
 *
 * No Map, because a Map from which things are deleted is rebuilt every few requests, and V8 keeps what was in the former table
 * until the next major collection: a third of all that requests allocate.
 */
export class OpenExchanges {
  readonly #slots: (OutgoingExchange | null)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(exchange: OutgoingExchange): void {
    const { slot } = exchange;
    while (this.#slots.length <= slot) this.#slots.push(null);
    exchange.sameSlot = this.#slots[slot] ?? null;
    this.#slots[slot] = exchange;
    this.#size += 1;
  }

  get(slot: number, generation: number): OutgoingExchange | null {
    let exchange = this.#slots[slot] ?? null;
    while (exchange !== null && exchange.generation !== generation) exchange = exchange.sameSlot;
    return exchange;
  }

  has(exchange: OutgoingExchange): boolean {
    return this.get(exchange.slot, exchange.generation) === exchange;
  }

  /** False if it was not there. */
  delete(exchange: OutgoingExchange): boolean {
    const { slot } = exchange;
    let before: OutgoingExchange | null = null;
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
  all(): OutgoingExchange[] {
    const all: OutgoingExchange[] = [];
    for (let exchange of this.#slots) {
      for (; exchange !== null; exchange = exchange.sameSlot) all.push(exchange);
    }
    return all;
  }
}
