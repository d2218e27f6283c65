import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { deferred, soon, until } from './deadline.js';
import { sameRuntime } from './runtime.js';

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly complaints: string;
}

/** A program of `children/` in a process of its own, on the runtime of this one. */
export class Child {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #exit = deferred<Exit>();
  #output = '';
  #complaints = '';
  #ended = false;

  /** `env` is added to the environment of this process; `program` is one of `children/`. */
  constructor(scenario: string, env: Readonly<Record<string, string>> = {}, program = 'scenario.js') {
    const { command, args } = sameRuntime({ exposeGc: true });
    const script = fileURLToPath(new URL(`../children/${program}`, import.meta.url));
    this.#process = spawn(command, [...args, script, scenario], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
    // A child that has ended does not read what is written to it.
    this.#process.stdin.on('error', () => undefined);
    this.#process.on('error', (error) => this.#exit.reject(error));
    this.#process.on('close', (code, signal) => {
      this.#ended = true;
      this.#exit.resolve({ code, signal, output: this.#output, complaints: this.#complaints });
    });
  }

  /** The ports of its `nth` line that says where a server is. */
  async ready(nth = 1): Promise<number[]> {
    const lines = (): string[] => this.#output.match(/^ready .*$/gm) ?? [];
    await until(`"ready" number ${nth} (${this.#complaints})`, () => lines().length >= nth || this.#ended);
    const line = lines()[nth - 1];
    if (line === undefined) throw new Error(`it ended early: ${this.#output} ${this.#complaints}`);
    return line.split(' ').slice(1).map(Number);
  }

  /** Waits until it has printed `text`. */
  async printed(text: string): Promise<void> {
    await until(`"${text}" (${this.#complaints})`, () => this.#output.includes(text) || this.#ended);
    if (!this.#output.includes(text)) throw new Error(`it ended early: ${this.#output} ${this.#complaints}`);
  }

  /** Lets it go on with its next step. */
  tell(): void {
    this.#process.stdin.write('\n');
  }

  /** Lets it go on with its last step. */
  tellLast(): void {
    this.#process.stdin.end('\n');
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Waits for its end. A process that does not end is killed. */
  async exit(ms = 10_000): Promise<Exit> {
    try {
      return await soon('the end of the process', this.#exit.promise, ms);
    } finally {
      if (!this.#ended) this.#process.kill('SIGKILL');
    }
  }
}
