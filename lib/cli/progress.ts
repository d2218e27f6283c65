import type { Sink } from './terminal.js';
import { bytes, time } from './units.js';

/** Time between two drawings, in milliseconds. */
const DRAW_MS = 100;
const BAR_COLUMNS = 24;
const ERASE_LINE = '\r\x1b[K';

/** One line that tells how far a download is; nothing where no person looks. */
export class Progress {
  readonly #sink: Sink;
  readonly #total: number | null;
  readonly #began = performance.now();
  #drawn = Number.NEGATIVE_INFINITY;
  #done = 0;

  /** `total`: bytes that will come, or null. */
  constructor(sink: Sink, total: number | null) {
    this.#sink = sink;
    this.#total = total;
  }

  /** So many more bytes are here. */
  add(count: number): void {
    this.#done += count;
    const now = performance.now();
    if (!this.#sink.isTTY || now - this.#drawn < DRAW_MS) return;
    this.#drawn = now;
    this.#draw(progressLine(this.#done, this.#total, now - this.#began, this.#sink.columns));
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#sink.isTTY && this.#drawn !== Number.NEGATIVE_INFINITY) this.#draw('');
  }

  #draw(line: string): void {
    this.#sink.write(`${ERASE_LINE}${line}`).catch(() => undefined);
  }
}

/** The line for `done` bytes after `ms`; `total` is null if it is not known. */
export function progressLine(done: number, total: number | null, ms: number, columns: number): string {
  const rate = ms > 0 ? (done / ms) * 1000 : 0;
  const numbers = `${bytes(done)}${total === null ? '' : ` of ${bytes(total)}`}, ${bytes(rate)}/s`;
  if (total === null || total === 0) return numbers.slice(0, columns - 1);
  const share = Math.min(done / total, 1);
  const filled = Math.round(share * BAR_COLUMNS);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_COLUMNS - filled);
  const left = rate > 0 && done < total ? `, ${time(((total - done) / rate) * 1000)} left` : '';
  return `${bar} ${`${Math.floor(share * 100)}`.padStart(3)}% ${numbers}${left}`.slice(0, columns - 1);
}
