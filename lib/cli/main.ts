import { VERSION } from '../version.js';
import type { Command } from './command.js';
import { EXIT, verdict } from './exit-code.js';
import { openTerminal, type Terminal } from './terminal.js';

/** Loaded when asked for: help needs no native part. */
const COMMANDS: Readonly<Record<string, { summary: string; load(): Promise<Command> }>> = {
  get: {
    summary: 'request a URL over HTTP/3',
    load: async () => (await import('./get.js')).get,
  },
  serve: {
    summary: 'serve a folder over HTTP/3',
    load: async () => (await import('./serve.js')).serve,
  },
  ping: {
    summary: 'measure handshake and round trips',
    load: async () => (await import('./ping.js')).ping,
  },
};

/** Runs the command line `parameters`. Resolves with the exit code; what went wrong is on standard error. */
export async function main(parameters: readonly string[]): Promise<number> {
  const { terminal, close } = openTerminal();
  try {
    return await run(parameters, terminal);
  } catch (error) {
    const { exitCode, message } = verdict(error);
    if (terminal.interrupted.aborted) return EXIT.interrupted;
    if (message !== null) await complain(terminal, message);
    return exitCode;
  } finally {
    close();
  }
}

async function run([name, ...rest]: readonly string[], terminal: Terminal): Promise<number> {
  if (name === '--version' || name === '-V') {
    await terminal.out.write(`trilane ${VERSION}\n`);
    return EXIT.ok;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const [topic] = rest;
    if (topic !== undefined && topic in COMMANDS) return run([topic, '--help'], terminal);
    await (name === undefined ? terminal.err : terminal.out).write(overview());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  const command = Object.hasOwn(COMMANDS, name) ? await COMMANDS[name]?.load() : undefined;
  if (command === undefined) {
    await complain(terminal, `there is no command ${JSON.stringify(name)}: see trilane --help`);
    return EXIT.usage;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    await terminal.out.write(command.help);
    return EXIT.ok;
  }
  return command.run(rest, terminal);
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(7)}${summary}\n`);
  return `trilane: HTTP/3 on the command line\n\n  trilane COMMAND [options]\n\n${lines.join('')}
  trilane COMMAND --help tells its options; trilane --version the version.\n`;
}

async function complain({ err }: Terminal, message: string): Promise<void> {
  // Nobody may be left to read it.
  await err.write(`trilane: ${message}\n`).catch(() => undefined);
}
