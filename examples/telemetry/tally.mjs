/** Counts what comes from one sender. What is lost shows in the numbers that are missing. */
export class Tally {
  #received = 0;
  #bytes = 0;
  #first = null;
  #highest = -1;
  #value = Number.NaN;
  #before = { received: 0, bytes: 0, expected: 0, at: performance.now() };

  add({ number, value }, bytes) {
    this.#first ??= number;
    this.#received += 1;
    this.#bytes += bytes;
    // Datagrams may overtake one another: the newest reading counts.
    if (number > this.#highest) {
      this.#highest = number;
      this.#value = value;
    }
  }

  /** What came since the last call, which is about a second ago. */
  lastSecond() {
    const at = performance.now();
    const now = { received: this.#received, bytes: this.#bytes, expected: this.#expected(), at };
    const before = this.#before;
    this.#before = now;
    const seconds = (at - before.at) / 1000;
    const rate = (now.received - before.received) / seconds;
    const kilobytes = (now.bytes - before.bytes) / 1000 / seconds;
    const loss = share(now.expected - before.expected, now.received - before.received);
    return `${rate.toFixed(0)} packets/s  ${kilobytes.toFixed(1)} kB/s  lost ${loss}  last value ${this.#value.toFixed(2)}`;
  }

  total() {
    const expected = this.#expected();
    return `${this.#received} of ${expected} packets came, lost ${share(expected, this.#received)}`;
  }

  #expected() {
    return this.#first === null ? 0 : this.#highest - this.#first + 1;
  }
}

/** In percent; what is late may make it less than nothing for a moment. */
function share(expected, received) {
  const lost = Math.max(0, expected - received);
  return `${(expected === 0 ? 0 : (lost / expected) * 100).toFixed(1)} %`;
}
