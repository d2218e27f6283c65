/** Readings that are kept for clients that come back. */
const KEPT = 600;
const INTERVAL_MS = 1000;

/** A thermometer that is made up. Its readings are numbered from 1. */
export class Thermometer {
  #readings = [];
  #newest = 0;
  #waiting = [];
  #stopped = false;
  #timer = setInterval(() => this.#read(), INTERVAL_MS);

  /** The readings behind `id`, the oldest kept one first, then each as it is made. Ends with the thermometer. */
  async *since(id) {
    // A number from before a restart may be beyond the newest one.
    for (let next = id >= 0 && id <= this.#newest ? id + 1 : 1; ; next++) {
      while (next > this.#newest && !this.#stopped) await this.#news();
      if (this.#stopped) return;
      // Who reads slowly does not hold up anything: what is no longer kept is skipped.
      next = Math.max(next, this.#newest - this.#readings.length + 1);
      yield this.#readings[next - this.#newest + this.#readings.length - 1];
    }
  }

  stop() {
    clearInterval(this.#timer);
    this.#stopped = true;
    this.#wake();
  }

  #read() {
    this.#newest += 1;
    const celsius = 21 + 2 * Math.sin(this.#newest / 15) + Math.random() / 2;
    this.#readings.push({
      id: this.#newest,
      at: new Date().toISOString(),
      celsius: Number(celsius.toFixed(1)),
    });
    if (this.#readings.length > KEPT) this.#readings.shift();
    this.#wake();
  }

  #news() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
