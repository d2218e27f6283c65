/** What became of one spec: a line that `run-specs.ts` prints. */
export interface SpecReport {
  readonly file: string;
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
  /** What it measured, for people. */
  readonly measured: readonly string[];
  readonly error?: string;
}

/** The line behind the last spec: from here on the process has nothing left to do. */
export const DONE = '{"done":true}';
