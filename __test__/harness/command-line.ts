import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Exit } from './child.js';
import { deferred, soon, until } from './deadline.js';
import { sameRuntime } from './runtime.js';

/** `trilane …` in a process of its own, on the runtime of this one. */
export class CommandLine {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #exit = deferred<Exit>();
  #output = '';
  #complaints = '';

  constructor(...parameters: string[]) {
    const { command, args } = sameRuntime();
    const script = fileURLToPath(new URL('../../bin/trilane.mjs', import.meta.url));
    this.#process = spawn(command, [...args, script, ...parameters], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
    this.#process.stdin.on('error', () => undefined);
    this.#process.on('error', (error) => this.#exit.reject(error));
    this.#process.on('close', (code, signal) => {
      this.#exit.resolve({ code, signal, output: this.#output, complaints: this.#complaints });
    });
  }

  /** Runs it to its end. */
  static run(...parameters: string[]): Promise<Exit> {
    return new CommandLine(...parameters).exit();
  }

  /** Waits until it has printed what matches `pattern`, and returns the match. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    await until(`${pattern} from ${JSON.stringify(this.#complaints)}`, () => pattern.test(this.#output));
    return pattern.exec(this.#output) as RegExpExecArray;
  }

  /** Writes to its standard input, and ends that. */
  feed(text: string): void {
    this.#process.stdin.end(text);
  }

  /** Closes the reading end of its standard output. */
  closeOutput(): void {
    this.#process.stdout.destroy();
  }

  /** Deno reports a child that it has signalled itself as ended by that signal, whatever became of it. */
  signal(name: NodeJS.Signals): void {
    const { pid, exitCode } = this.#process;
    if (pid !== undefined && exitCode === null) process.kill(pid, name);
  }

  /** Waits for its end. A process that does not end is killed. */
  async exit(): Promise<Exit> {
    try {
      return await soon('the end of trilane', this.#exit.promise);
    } finally {
      this.#process.kill('SIGKILL');
    }
  }
}
