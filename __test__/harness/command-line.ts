import { fileURLToPath } from 'node:url';
import { until } from './deadline.js';
import { type Exit, RunningProgram } from './running-program.js';
import { sameRuntime } from './runtime.js';

/** `trilane …` in a process of its own, on the runtime of this one. */
export class CommandLine extends RunningProgram {
  constructor(...parameters: string[]) {
    const { command, args } = sameRuntime();
    const script = fileURLToPath(new URL('../../bin/trilane.mjs', import.meta.url));
    super(command, [...args, script, ...parameters], { NO_COLOR: '1' });
  }

  /** Runs it to its end. */
  static run(...parameters: string[]): Promise<Exit> {
    return new CommandLine(...parameters).exit();
  }

  /** Waits until it has printed what matches `pattern`, and returns the match. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    await until(`${pattern} from ${JSON.stringify(this.complaints)}`, () => pattern.test(this.output));
    return pattern.exec(this.output) as RegExpExecArray;
  }

  /** Writes to its standard input, and ends that. */
  feed(text: string): void {
    this.process.stdin.end(text);
  }

  /** Closes the reading end of its standard output. */
  closeOutput(): void {
    this.process.stdout.destroy();
  }

  /** Deno reports a child that it has signalled itself as ended by that signal, whatever became of it. */
  signal(name: NodeJS.Signals): void {
    const { pid, exitCode } = this.process;
    if (pid !== undefined && exitCode === null) process.kill(pid, name);
  }
}
