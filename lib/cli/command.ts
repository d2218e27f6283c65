import type { Terminal } from './terminal.js';

/** One word of the command line. */
export interface Command {
  /** What `--help` prints. */
  readonly help: string;
  /** Resolves with the exit code. What it rejects with is printed, and has an exit code of its own. */
  run(parameters: readonly string[], terminal: Terminal): Promise<number>;
}
