// The server under attack, in a process of its own.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const READY_MS = 15_000;
const ANSWER_MS = 5_000;
const END_MS = 10_000;

/** What Rust, the runtimes and the kernel print when something broke that must not. */
const BROKEN =
  /panicked at|RUST_BACKTRACE|fatal error|FATAL ERROR|Segmentation fault|AddressSanitizer|overflow/;

/** The server under attack; everything it says on standard error is kept. */
export class LiveServer {
  #child;
  #lines;
  #waiting = [];
  #ended;
  complaints = '';

  constructor(command) {
    const [program, ...args] = command;
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdin.on('error', () => {});
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.complaints += text;
    });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#lines.on('line', (line) => this.#waiting.shift()?.(JSON.parse(line)));
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
  }

  /** Its process id. */
  get pid() {
    return this.#child.pid;
  }

  /** Whether the process still runs. */
  get alive() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The port, once it listens. */
  async port() {
    const { port } = await this.#answer('the port', READY_MS);
    return port;
  }

  /** Its counters now, after a garbage collection. */
  stats() {
    this.#child.stdin.write('stats\n');
    return this.#answer('the counters', ANSWER_MS);
  }

  /** Asks it to stop; what is wrong with how it ends, or undefined. A process that does not end is killed. */
  async end() {
    this.#child.stdin.end('end\n');
    const how = await within(this.#ended, END_MS);
    if (how === undefined) this.#child.kill('SIGKILL');
    if (how === 'exit code 0') return undefined;
    return how === undefined
      ? `the server did not end within ${END_MS} ms`
      : `the server ended with ${how}: ${this.complaints}`;
  }

  /** Ends it at once, if it still runs. */
  kill() {
    if (this.alive) this.#child.kill('SIGKILL');
  }

  /** The line on standard error that must never be there, if it is. */
  get panic() {
    return this.complaints.split('\n').find((line) => BROKEN.test(line));
  }

  async #answer(what, milliseconds) {
    const line = new Promise((resolve) => this.#waiting.push(resolve));
    const answer = await within(Promise.race([line, this.#ended]), milliseconds);
    if (typeof answer === 'object') return answer;
    throw new Error(`${what} did not come (${answer ?? `${milliseconds} ms`}): ${this.complaints}`);
  }
}

/** The value of the promise, or undefined after so many milliseconds. */
function within(promise, milliseconds) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
