import process from 'node:process';

/** As shells have it for a process that SIGINT ended. */
export const EXIT_INTERRUPTED = 130;

/** Where a command prints. */
export interface Sink {
  /** Whether a person looks at it. */
  readonly isTTY: boolean;
  /** Columns of the terminal; 80 if there is none. */
  readonly columns: number;
  /** Prints; resolves when more can be taken. Rejects with {@link PipeClosed} once nobody reads any more. */
  write(content: string | Uint8Array): Promise<void>;
}

/** What a command is run with. */
export interface Terminal {
  readonly out: Sink;
  readonly err: Sink;
  /** Aborts when the user presses Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** The reader of standard output went away, as `head` does: no mistake of anybody. */
export class PipeClosed extends Error {}

/** The terminal of this process. A second Ctrl-C ends the process at once. */
export function openTerminal(): { readonly terminal: Terminal; close(): void } {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  const terminal = {
    out: new StreamSink(process.stdout),
    err: new StreamSink(process.stderr),
    interrupted: controller.signal,
  };
  return { terminal, close: () => process.off('SIGINT', interrupt) };
}

class StreamSink implements Sink {
  readonly #stream: NodeJS.WriteStream;
  #failure: Error | null = null;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on('error', (error: Error & { code?: string }) => {
      this.#failure = error.code === 'EPIPE' ? new PipeClosed() : error;
    });
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  get columns(): number {
    // Some terminals do not know, and say 0.
    return this.#stream.columns || 80;
  }

  write(content: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#stream.write(content, (error) => {
        if (error === null || error === undefined) resolve();
        else reject((error as { code?: string }).code === 'EPIPE' ? new PipeClosed() : error);
      });
    });
  }
}
