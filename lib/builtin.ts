import process from 'node:process';

/** The modules of the runtime that are loaded here, by their names. */
interface Builtins {
  'node:crypto': typeof import('node:crypto');
  'node:fs': typeof import('node:fs');
  'node:module': typeof import('node:module');
  'node:net': typeof import('node:net');
  'node:url': typeof import('node:url');
  'node:zlib': typeof import('node:zlib');
}

/**
 * A module of the runtime, loaded when it is first asked for. Many programs need none of these; on Bun they were 14 of the
 * 50 ms that importing this package took. On Node it makes no difference: its own Response loads most of them.
 */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  return process.getBuiltinModule(name) as Builtins[Name];
}
