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
    const made = spawnSync(peerProgram(), ['certificate', '--out', folder]);
    assert.equal(made.status, 0, String(made.stderr));
    const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
    return { cert: read('cert.pem'), key: read('key.pem') };
  });
}

let pairs: [Pair, Pair] | null = null;

/** Two pairs that have nothing to do with each other, the same ones for each call. */
export function twoPairs(): [Pair, Pair] {
  pairs ??= [makePair(), makePair()];
  return pairs;
}
