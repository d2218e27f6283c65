/** What the spec that runs has measured. */
const figures: string[] = [];

/** Shown beside the spec, also where it passes: what was asserted to be small enough, say. */
export function measured(figure: string): void {
  figures.push(figure);
}

/** The same of memory, in bytes. */
export function measuredMemory(grown: number, meanwhile: string): void {
  measured(`memory of the process while ${meanwhile}: ${(grown / 1048576).toFixed(1)} MiB more`);
}

/** Takes what the last spec has measured. */
export function takeMeasured(): string[] {
  return figures.splice(0);
}
