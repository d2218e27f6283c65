import type { NativeExchanges } from '../binding.cjs';
import type { Layer } from './datagrams.js';

/** Counts the datagrams of a turn that came over the border and reached nobody: they were dropped, not received. */
export class UnreadDatagrams {
  readonly #layer: Layer;
  #native: NativeExchanges | null = null;
  #slot = 0;
  #generation = 0;
  #count = 0;

  constructor(layer: Layer) {
    this.#layer = layer;
  }

  connect(native: NativeExchanges): void {
    this.#native = native;
  }

  /** So many of this exchange, or of this connection. */
  add(slot: number, generation: number, count: number): void {
    if (slot !== this.#slot || generation !== this.#generation) {
      this.flush();
      this.#slot = slot;
      this.#generation = generation;
    }
    this.#count += count;
  }

  /** The turn is over. */
  flush(): void {
    if (this.#count === 0) return;
    this.#native?.unreadDatagrams(this.#layer, this.#slot, this.#generation, this.#count);
    this.#count = 0;
  }
}
