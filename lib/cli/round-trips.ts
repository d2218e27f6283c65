import { time } from './units.js';

/** Bars of the histogram. */
const MOST_BARS = 10;
const BAR_COLUMNS = 40;

/** Round trips of a ping, in milliseconds. */
export class RoundTrips {
  readonly #times: number[] = [];
  #sent = 0;

  /** One was sent; null: it did not come back. */
  add(ms: number | null): void {
    this.#sent += 1;
    if (ms !== null) this.#times.push(ms);
  }

  /** Numbers for programs. Times are absent if nothing came back. */
  get summary(): RoundTripSummary {
    const sorted = this.#sorted();
    const received = sorted.length;
    const lossPercent = this.#sent === 0 ? 0 : ((this.#sent - received) / this.#sent) * 100;
    const counts = { sent: this.#sent, received, lossPercent };
    const [min] = sorted;
    if (min === undefined) return counts;
    const max = sorted[received - 1] as number;
    return { ...counts, minMs: min, p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99), maxMs: max };
  }

  /** Lines for people. */
  report(): string {
    const { sent, received, lossPercent, minMs, p50Ms, p99Ms, maxMs } = this.summary;
    const counts = `${sent} sent, ${received} received, ${lossPercent.toFixed(lossPercent % 1 === 0 ? 0 : 1)}% lost\n`;
    if (minMs === undefined || p50Ms === undefined || p99Ms === undefined || maxMs === undefined)
      return counts;
    const line = `min ${time(minMs)}, p50 ${time(p50Ms)}, p99 ${time(p99Ms)}, max ${time(maxMs)}\n`;
    return `${counts}${line}${this.#histogram(minMs, maxMs)}`;
  }

  /** Bars of equal width between the quickest and the slowest. */
  #histogram(min: number, max: number): string {
    const width = (max - min) / MOST_BARS;
    if (this.#times.length < 3 || width === 0) return '';
    const counts = new Array<number>(MOST_BARS).fill(0);
    for (const ms of this.#times) {
      const bar = Math.min(Math.floor((ms - min) / width), MOST_BARS - 1);
      counts[bar] = (counts[bar] as number) + 1;
    }
    const most = Math.max(...counts);
    const lines = counts.map((count, bar) => {
      const from = time(min + bar * width).padStart(10);
      return `${from} ${'█'.repeat(Math.ceil((count / most) * BAR_COLUMNS)).padEnd(BAR_COLUMNS)} ${count}`;
    });
    return `\n${lines.join('\n')}\n`;
  }

  #sorted(): number[] {
    return [...this.#times].sort((left, right) => left - right);
  }
}

/** What {@link RoundTrips} says to programs. */
export interface RoundTripSummary {
  readonly sent: number;
  readonly received: number;
  readonly lossPercent: number;
  readonly minMs?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
}

/** The nearest rank. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)] as number;
}
