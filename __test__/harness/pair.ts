import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withFolder } from './folder.js';
import { peerProgram } from './peer.js';

/** A certificate and its key. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** A pair for localhost, made now. */
function makePair(): Pair {
  return withFolder((folder) => {
    const [cert, key] = writePair(folder);
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  });
}

let pairs: [Pair, Pair] | null = null;

/** Two pairs that have nothing to do with each other, the same ones for each call. */
export function twoPairs(): [Pair, Pair] {
  pairs ??= [makePair(), makePair()];
  return pairs;
}

/** Runs `run` with the files of a certificate and its key, PEM. */
export function withPairFiles<Result>(run: (cert: string, key: string) => Promise<Result>): Promise<Result> {
  return withFolder((folder) => run(...writePair(folder)));
}

function writePair(folder: string): [cert: string, key: string] {
  const made = spawnSync(peerProgram(), ['certificate', '--out', folder]);
  assert.equal(made.status, 0, String(made.stderr));
  return [join(folder, 'cert.pem'), join(folder, 'key.pem')];
}
