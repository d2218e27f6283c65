// What a run needs on disk, in one directory that goes with it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { once } from './child.mjs';
import { peer } from './paths.mjs';

let made;

/** The directory, with cert.pem and key.pem of a certificate for localhost. */
export function scratch() {
  made ??= make();
  return made;
}

async function make() {
  const directory = mkdtempSync(join(tmpdir(), 'trilane-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await once([peer(), 'certificate', '--out', directory], { timeoutMs: 10_000 });
  return directory;
}

const PIECE = Buffer.alloc(2 ** 20, 'x');
const written = new Map();

/** A file of so many bytes. */
export async function fileOf(bytes) {
  const known = written.get(bytes);
  if (known) return known;
  const path = join(await scratch(), `${bytes}-bytes`);
  for (let left = bytes; left > 0; left -= PIECE.length) {
    writeFileSync(path, left < PIECE.length ? PIECE.subarray(0, left) : PIECE, { flag: 'a' });
  }
  written.set(bytes, path);
  return path;
}
