// Where things are in this repository.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The top of the repository. */
export const repository = fileURLToPath(new URL('..', import.meta.url));

/** The load generator and reference servers: what TRILANE_PEER names, or as cargo builds them. */
export function peer() {
  if (process.env.TRILANE_PEER) return process.env.TRILANE_PEER;
  const target = resolve(repository, process.env.CARGO_TARGET_DIR ?? 'target');
  return join(target, 'release', process.platform === 'win32' ? 'peer.exe' : 'peer');
}

/** A file of the repository, if it is there. */
export function existing(...parts) {
  const path = join(repository, ...parts);
  return existsSync(path) ? path : undefined;
}

/** A message without the machine's directories. */
export function withoutPaths(message) {
  return message.replaceAll(repository, '').replaceAll(/(?:\/[\w.@+-]+){2,}\//g, '');
}
