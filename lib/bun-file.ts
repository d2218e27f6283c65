import { resolve } from 'node:path';
import { builtin } from './builtin.js';
import { FileBody } from './file-body.js';

/** What of Bun's global is used here. */
interface Bun {
  file(path: string): Blob;
  inspect(value: unknown): string;
}

const bun = (globalThis as { Bun?: Bun }).Bun;

/**
 * The file behind `blob` if it is a whole `Bun.file()` with a path, else null; always null on other runtimes.
 *
 * A File that a client has uploaded has a name of the client's choice, and on Bun the same members as `Bun.file()`: none of
 * them tells which is which. How Bun prints the two does, which is checked once for the Bun that runs; and the printed path
 * must be the name, which can be assigned to. A slice prints like its whole and differs in size.
 */
export function bunFile(blob: Blob): FileBody | null {
  const { name, size } = blob as Blob & { name?: unknown };
  if (bun === undefined || !prints || typeof name !== 'string' || !printsAsFile(bun, blob, name)) return null;
  const path = resolve(name);
  return sizeOnDisk(path) === size ? new FileBody('', path) : null;
}

/** Null if there is no such file, or none that may be looked at: reading it says so. */
function sizeOnDisk(path: string): number | null {
  try {
    return builtin('node:fs').statSync(path).size;
  } catch {
    return null;
  }
}

function printsAsFile(bun: Bun, blob: Blob, path: string): boolean {
  return bun.inspect(blob).startsWith(`FileRef ("${path}")`);
}

/** Whether printing tells files from Blobs in memory. */
const prints =
  bun !== undefined &&
  printsAsFile(bun, bun.file('/a/b.c'), '/a/b.c') &&
  !printsAsFile(bun, new File([], '/a/b.c'), '/a/b.c');
