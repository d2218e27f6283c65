import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { deferred, soon, until } from './deadline.js';
import { DENO_ARGS, sameRuntime } from './runtime.js';
import { locate } from './spec-run.js';

interface Runtime {
  readonly command: string;
  /** What goes before the script. */
  readonly args: readonly string[];
}

/** How a program of `examples/` is started. */
export interface ExampleOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Another runtime than that of this process. */
  readonly runtime?: Runtime;
}

/** Time from the signal to the end of the process, in milliseconds: shorter than a stop that waits in vain takes. */
const STOP_MS = 5_000;

/** What to start another runtime with; null if it is not here, which is an error where results count. */
export function foreignRuntime(name: 'bun' | 'deno'): Runtime | null {
  const found = locate(name);
  if ('command' in found) {
    return { command: found.command, args: name === 'deno' ? [...DENO_ARGS, '--unstable-net'] : [] };
  }
  if (process.env['CI'] && process.platform === 'linux' && process.arch === 'x64')
    throw new Error(found.missing);
  return null;
}

/** A program of `examples/` in a process of its own, by default on the runtime of this one. */
export class Example {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #exit = deferred<string>();
  readonly #path: string;
  #output = '';
  #complaints = '';
  #ended = false;

  /** Starts `examples/<path>`. */
  constructor(path: string, { args = [], env = {}, runtime = sameRuntime() }: ExampleOptions = {}) {
    this.#path = path;
    const script = fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
    this.#process = spawn(runtime.command, [...runtime.args, script, ...args], {
      env: { ...process.env, PORT: '0', NO_COLOR: '1', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#process.stdin.end();
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
    this.#process.on('error', (error) => this.#exit.reject(error));
    this.#process.on('close', (code, signal) => {
      this.#ended = true;
      this.#exit.resolve(signal ?? String(code));
    });
  }

  /** Runs `use` with an example that is up, then expects that Ctrl-C ends it cleanly and that it complained of nothing. */
  static async with(
    path: string,
    use: (example: Example) => Promise<void>,
    options?: ExampleOptions,
  ): Promise<void> {
    const example = new Example(path, options);
    try {
      await use(example);
      await example.stop();
    } finally {
      example.kill();
    }
  }

  /** What it has printed. */
  get output(): string {
    return this.#output;
  }

  /** What it has printed on standard error and was not forgiven. */
  get complaints(): string {
    return this.#complaints;
  }

  /** Waits for a complaint on standard error; what is there is then forgiven. */
  async complains(pattern: RegExp): Promise<void> {
    await until(`${this.#path} to complain of ${pattern}`, () => pattern.test(this.#complaints));
    this.#complaints = '';
  }

  /** The first match in what it prints; of a group in it, if there is one. */
  async prints(pattern: RegExp, ms?: number): Promise<string> {
    await until(
      `${this.#path} to print ${pattern}`,
      () => pattern.test(this.#output) || this.#ended,
      ms,
    ).catch((error: unknown) => {
      throw new Error(`${error}; it printed: ${this.#output}${this.#complaints}`);
    });
    const match = pattern.exec(this.#output);
    if (match === null) throw new Error(`${this.#path} ended: ${this.#output}${this.#complaints}`);
    return match[1] ?? match[0];
  }

  /** Where its HTTP/3 server listens. */
  async url(): Promise<URL> {
    return new URL(await this.prints(/https:\/\/[\w.:-]+\//));
  }

  /** Where its page is. */
  async page(): Promise<URL> {
    return new URL(await this.prints(/http:\/\/[\w.:-]+\//));
  }

  /** Presses Ctrl-C. Throws unless it ends with code 0 and has printed nothing on standard error. Idempotent. */
  async stop(): Promise<void> {
    // Deno's own kill() of a child notes the signal as its end, whatever the child makes of it.
    if (this.#process.pid !== undefined && !this.#ended) process.kill(this.#process.pid, 'SIGINT');
    const exit = await this.exit(STOP_MS);
    if (exit !== '0' || this.#complaints !== '') {
      throw new Error(`${this.#path} ended with ${exit}: ${this.#complaints}`);
    }
  }

  /** Waits for its end: the exit code, or the signal. */
  exit(ms?: number): Promise<string> {
    return soon(`the end of ${this.#path}`, this.#exit.promise, ms);
  }

  /** Ends it the hard way if it is still there. */
  kill(): void {
    if (!this.#ended) this.#process.kill('SIGKILL');
  }
}
