import { isArrayBuffer } from '../body.js';
import { describe, usageError } from '../errors.js';
import { checkChoice, checkKeys, checkObject } from '../option-check.js';

/** A certificate by its hash: as W3C WebTransport has it, or the bytes alone, such as `server.certificateHash`. */
export type CertificateHash =
  | Uint8Array
  | {
      /** The one that W3C WebTransport names. */
      readonly algorithm: 'sha-256';
      /** The 32 bytes of the hash of the certificate (DER). */
      readonly value: ArrayBuffer | ArrayBufferView;
    };

/** Bytes of a SHA-256. */
const HASH_BYTES = 32;
/** A server has one certificate, and one that will replace it; more are a mistake, and each handshake looks at all. */
const MOST_HASHES = 64;

/** Checks option `serverCertificateHashes`; empty if it is not given. Throws a TypeError or RangeError. */
export function readCertificateHashes(value: unknown): Uint8Array[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "serverCertificateHashes" is ${describe(value)}; expected an array of { algorithm: "sha-256", value } or Uint8Array`,
    );
  }
  if (value.length >= 1 && value.length <= MOST_HASHES) return value.map(readHash);
  throw usageError(
    'ERR_H3_OPTION_RANGE',
    `option "serverCertificateHashes" has ${value.length} entries; expected 1 to ${MOST_HASHES}`,
  );
}

/** A copy: the caller may reuse its buffer. */
function readHash(entry: unknown, index: number): Uint8Array {
  const name = `serverCertificateHashes[${index}]`;
  const bytes = bytesOf(entry) ?? bytesOf(readEntry(entry, name));
  if (bytes === null) {
    throw usageError('ERR_H3_OPTION_TYPE', `option "${name}.value" is no bytes; expected a Uint8Array`);
  }
  if (bytes.byteLength === HASH_BYTES) return bytes.slice();
  throw usageError(
    'ERR_H3_OPTION_RANGE',
    `option "${name}" has ${bytes.byteLength} bytes; expected the ${HASH_BYTES} of a SHA-256`,
  );
}

function readEntry(entry: unknown, name: string): unknown {
  const given = checkObject(entry, `option "${name}"`);
  checkKeys(given, ['algorithm', 'value'], `option "${name}"`);
  checkChoice(given['algorithm'], `${name}.algorithm`, ['sha-256']);
  return given['value'];
}

function bytesOf(value: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return isArrayBuffer(value) ? new Uint8Array(value) : null;
}
