import { fileURLToPath } from 'node:url';
import { until } from './deadline.js';
import { RunningProgram } from './running-program.js';
import { sameRuntime } from './runtime.js';

/** A program of `children/` in a process of its own, on the runtime of this one. */
export class Child extends RunningProgram {
  /** `env` is added to the environment of this process; `program` is one of `children/`. */
  constructor(scenario: string, env: Readonly<Record<string, string>> = {}, program = 'scenario.js') {
    const { command, args } = sameRuntime({ exposeGc: true });
    const script = fileURLToPath(new URL(`../children/${program}`, import.meta.url));
    super(command, [...args, script, scenario], env);
  }

  /** The ports of its `nth` line that says where a server is. */
  async ready(nth = 1): Promise<number[]> {
    const lines = (): string[] => this.output.match(/^ready .*$/gm) ?? [];
    await until(`"ready" number ${nth} (${this.complaints})`, () => lines().length >= nth || this.ended);
    const line = lines()[nth - 1];
    if (line === undefined) throw new Error(`it ended early: ${this.output} ${this.complaints}`);
    return line.split(' ').slice(1).map(Number);
  }

  /** Waits until it has printed `text`. */
  async printed(text: string): Promise<void> {
    await until(`"${text}" (${this.complaints})`, () => this.output.includes(text) || this.ended);
    if (!this.output.includes(text)) throw new Error(`it ended early: ${this.output} ${this.complaints}`);
  }

  /** Lets it go on with its next step. */
  tell(): void {
    this.process.stdin.write('\n');
  }

  /** Lets it go on with its last step. */
  tellLast(): void {
    this.process.stdin.end('\n');
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }
}
