import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Runs `run` with a new folder, which is removed at the end. */
export async function withFolder(run: (folder: Folder) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'trilane-'));
  try {
    await run(new Folder(path));
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** A folder of a spec. */
export class Folder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The path of `name` in it. */
  at(name: string): string {
    return join(this.path, name);
  }

  /** Writes a file, last changed an hour ago; returns its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = this.at(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    const changed = Date.now() / 1000 - 3600;
    utimesSync(path, changed, changed);
    return path;
  }
}
