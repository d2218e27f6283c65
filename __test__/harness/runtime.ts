import process from 'node:process';

/**
 * Deno's command line up to the script. The package itself needs native code, reading (its own files) and the
 * environment; the specs also listen on sockets of their own, start the peer and children, and write certificates.
 * With any one of these left out some spec fails; nothing else is granted.
 */
export const DENO_ARGS = [
  'run',
  '--quiet',
  '--no-prompt',
  '--allow-ffi',
  '--allow-read',
  '--allow-env',
  '--allow-net',
  '--allow-run',
  '--allow-write',
];

interface Bun {
  gc(force: boolean): void;
}

interface Deno {
  readonly version: { readonly deno: string };
}

const { Bun: bun, Deno: deno } = globalThis as { Bun?: Bun; Deno?: Deno };

/** The runtime that executes this. */
export const RUNTIME: 'node' | 'bun' | 'deno' =
  bun !== undefined ? 'bun' : deno !== undefined ? 'deno' : 'node';

/** Command line of a child on the runtime of this process, up to its script. */
export function sameRuntime(options: { readonly exposeGc?: boolean } = {}): {
  command: string;
  args: string[];
} {
  const command = process.execPath;
  const { exposeGc = false } = options;
  if (RUNTIME === 'bun') return { command, args: [] };
  if (RUNTIME === 'node') return { command, args: exposeGc ? ['--expose-gc'] : [] };
  return { command, args: [...DENO_ARGS, ...(exposeGc ? ['--v8-flags=--expose-gc'] : [])] };
}

/** Collects garbage now, if the runtime lets a program ask for it. */
export function collectGarbage(): void {
  if (bun !== undefined) bun.gc(true);
  else (globalThis as { gc?: () => void }).gc?.();
}
