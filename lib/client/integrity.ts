import { Buffer } from 'node:buffer';
import { builtin } from '../builtin.js';
import { H3Error } from '../errors.js';

/** Algorithms of Subresource Integrity, the strongest first (SRI §3.2). */
const ALGORITHMS = ['sha512', 'sha384', 'sha256'] as const;
const HASH = /^(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+={0,2})(?:\?.*)?$/;

const NONE = [] as const;

/** The hashes of `integrity` that decide: those of the strongest algorithm in it. Empty: none is known, and anything passes. */
export function readIntegrity(integrity: string): readonly (readonly [algorithm: string, hash: string])[] {
  if (integrity === '') return NONE;
  const known: [algorithm: string, hash: string][] = [];
  for (const item of integrity.split(/[\t\n\f\r ]+/)) {
    const [, algorithm, hash] = HASH.exec(item) ?? [];
    if (algorithm !== undefined && hash !== undefined) known.push([algorithm, hash]);
  }
  const strongest = ALGORITHMS.find((name) => known.some(([algorithm]) => algorithm === name));
  return known.filter(([algorithm]) => algorithm === strongest);
}

/** Throws an {@link H3Error} unless `content` has one of the hashes (SRI §3.3.4, "Do bytes match metadataList?"). */
export function checkIntegrity(content: Uint8Array, hashes: ReturnType<typeof readIntegrity>): void {
  const [first] = hashes;
  if (first === undefined) return;
  const actual = builtin('node:crypto').createHash(first[0]).update(content).digest();
  // Both alphabets of base64 are read alike.
  if (hashes.some(([, expected]) => Buffer.from(expected, 'base64').equals(actual))) return;
  throw new H3Error(
    'ERR_H3_CLIENT_INTEGRITY',
    `the content has the hash ${first[0]}-${actual.toString('base64')}, which is not what integrity names`,
    { remote: true },
  );
}
