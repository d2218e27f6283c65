// What the numbers were measured on and with; nothing that names a machine or its directories.
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';

import { repository } from './paths.mjs';

function text(name) {
  try {
    return readFileSync(join(repository, name), 'utf8');
  } catch {
    return '';
  }
}

/** Cores, CPU, memory and kernel in one line. */
export function machine() {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${memory}, ${type()} ${release()} ${arch()}`;
}

/** The versions of what is compared, in one line. */
export function versions() {
  const lock = text('Cargo.lock');
  const crates = ['quinn', 'quinn-proto', 'h3', 'rustls', 'ring', 'tokio'].map((name) => {
    const version = new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(lock)?.[1];
    return version && `${name} ${version}`;
  });
  const own = /"version":\s*"([^"]+)"/.exec(text('package.json'))?.[1];
  return [own && `trilane ${own}`, ...crates].filter(Boolean).join(', ');
}
