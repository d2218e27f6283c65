/** Slots at first; a power of two, as every size after it. */
const FIRST_SLOTS = 16;

/** What waits in order, in an array that grows when it is full and is used again and again: nothing is moved when one leaves. */
export class Ring<Item> {
  #slots: (Item | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The one that has waited longest, which stays. */
  get first(): Item | undefined {
    return this.#slots[this.#first];
  }

  push(item: Item): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#first + this.#length) & (this.#slots.length - 1)] = item;
    this.#length += 1;
  }

  /** Takes the one that has waited longest. */
  shift(): Item | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#first];
    this.#slots[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#slots.length - 1);
    this.#length -= 1;
    return item;
  }

  /** Lets all go. */
  clear(): void {
    this.#slots = new Array(FIRST_SLOTS).fill(undefined);
    this.#first = 0;
    this.#length = 0;
  }

  #grow(): void {
    const { length } = this.#slots;
    const slots = this.#slots.slice(this.#first).concat(this.#slots.slice(0, this.#first));
    for (let index = 0; index < length; index += 1) slots.push(undefined);
    this.#slots = slots;
    this.#first = 0;
  }
}
