import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import process from 'node:process';
import { deferred, soon } from './deadline.js';

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly complaints: string;
}

/** A program in a process of its own, and what it has said so far. */
export class RunningProgram {
  protected readonly process: ChildProcessWithoutNullStreams;
  readonly #exit = deferred<Exit>();
  #output = '';
  #complaints = '';
  #ended = false;

  /** `env` is added to the environment of this process. */
  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.process = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
    // A program that has ended does not read what is written to it.
    this.process.stdin.on('error', () => undefined);
    this.process.on('error', (error) => this.#exit.reject(error));
    this.process.on('close', (code, signal) => {
      this.#ended = true;
      this.#exit.resolve({ code, signal, output: this.#output, complaints: this.#complaints });
    });
  }

  /** Its standard output so far. */
  protected get output(): string {
    return this.#output;
  }

  /** Its standard error so far. */
  protected get complaints(): string {
    return this.#complaints;
  }

  protected get ended(): boolean {
    return this.#ended;
  }

  /** Waits for its end. A process that does not end is killed. */
  async exit(ms = 10_000): Promise<Exit> {
    try {
      return await soon('the end of the process', this.#exit.promise, ms);
    } finally {
      if (!this.#ended) this.process.kill('SIGKILL');
    }
  }
}
