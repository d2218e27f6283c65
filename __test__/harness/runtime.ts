import process from 'node:process';

/**
 * What Deno has to grant, beyond what its tests of the package itself need (`locate.mjs` grants network, native code,
 * reading and the environment): starting the peer and child processes, certificates in temporary files, and the
 * resident memory that the specs of hostile loads look at.
 */
export const DENO_GRANTS = ['--allow-run', '--allow-write', '--allow-sys'];

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
  const grants = ['--allow-net', '--allow-ffi', '--allow-read', '--allow-env', ...DENO_GRANTS];
  const flags = exposeGc ? ['--v8-flags=--expose-gc'] : [];
  return { command, args: ['run', '--quiet', '--no-prompt', ...grants, ...flags] };
}

/** Collects garbage now, if the runtime lets a program ask for it. */
export function collectGarbage(): void {
  if (bun !== undefined) bun.gc(true);
  else (globalThis as { gc?: () => void }).gc?.();
}
