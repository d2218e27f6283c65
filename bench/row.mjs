// A row of the benchmark: one peer under one load of one part, and what each round found.

const MOST_FAILURES = 2;

/** The samples of a row are `{ round, figures }`. */
export class Row {
  samples = [];
  /** Why it was not measured, or not in every round. */
  skipped;
  #failures = 0;

  constructor(part, load, peer) {
    this.part = part;
    this.load = load;
    this.peer = peer;
  }

  /** `hello/8x16/core`. */
  get id() {
    return `${this.part.name}/${this.load.name}/${this.peer.name}`;
  }

  /** Whether it is still tried: one failure may be the machine's. */
  get isTried() {
    return this.skipped === undefined || (this.#failures > 0 && this.#failures < MOST_FAILURES);
  }

  failed(reason) {
    this.#failures += 1;
    this.skipped = reason;
  }

  add(round, figures) {
    this.samples.push({ round, figures });
  }

  /** The values of a figure, round by round. */
  values(figure) {
    return this.samples.map(({ figures }) => figures[figure]).filter((value) => value !== undefined);
  }

  /** The median of a figure; undefined if nothing was measured. */
  median(figure) {
    return median(this.values(figure));
  }

  /** How this row's figure relates to another's: the median of the ratios within each round that has both. */
  ratio(figure, other) {
    const ratios = this.samples.map(({ round, figures }) => {
      const theirs = other.samples.find((sample) => sample.round === round)?.figures[figure];
      return theirs === undefined || figures[figure] === undefined ? undefined : figures[figure] / theirs;
    });
    return median(ratios.filter(Number.isFinite));
  }
}

/** The middle of some numbers; undefined if there are none. */
export function median(values) {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The rows of a run, to be found by part, load and peer. */
export class Rows {
  constructor(rows) {
    this.all = rows;
  }

  find(part, load, peer) {
    return this.all.find(
      (row) =>
        row.part.name === part && row.load.name === load && row.peer.name === peer && row.samples.length > 0,
    );
  }

  of(part) {
    return this.all.filter((row) => row.part.name === part.name);
  }
}
