import { builtin } from './builtin.js';
import { describe, usageError } from './errors.js';
import { checkKeys, checkObject } from './option-check.js';

/** A certificate and its key: as text or bytes, or as files. */
export interface IdentityOptions {
  /** Certificate chain, leaf first: PEM text, or bytes of PEM or of one DER certificate. */
  cert?: string | Uint8Array | undefined;
  /** Unencrypted private key of `cert`: PEM text, or bytes of PEM or DER. */
  key?: string | Uint8Array | undefined;
  /** File with the certificate chain, read at once. */
  certPath?: string | URL | undefined;
  /** File with the private key, read at once. */
  keyPath?: string | URL | undefined;
}

/** Bytes of a certificate chain and its key, each PEM or DER. */
export interface Identity {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

/** The certificate for one host name. */
export interface HostIdentity {
  readonly host: string;
  readonly identity: Identity;
}

const encoder = new TextEncoder();

/** Reads the certificate of `options`, or undefined if there is none. `prefix` goes before option names in errors. */
export function readIdentity(
  options: Readonly<Record<string, unknown>>,
  prefix: string,
): Identity | undefined {
  const cert = readPart(options, 'cert', prefix);
  const key = readPart(options, 'key', prefix);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    const [given, missing] = cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "${prefix}${given}" was given without "${prefix}${missing}": pass both, or neither`,
    );
  }
  return { cert, key };
}

/** Reads the certificates by host name. */
export function readHostIdentities(sni: unknown): HostIdentity[] {
  if (sni === undefined) return [];
  const hosts = Object.entries(checkObject(sni, 'option "sni"'));
  return hosts.map(([host, value]) => {
    const name = `sni[${JSON.stringify(host)}]`;
    const options = checkObject(value, `option "${name}"`);
    checkKeys(options, ['cert', 'key', 'certPath', 'keyPath'], `option "${name}"`);
    const identity = readIdentity(options, `${name}.`);
    if (identity === undefined) {
      throw usageError('ERR_H3_OPTION_TYPE', `option "${name}" has no certificate: give it "cert" and "key"`);
    }
    return { host, identity };
  });
}

/** Reads `part` of `options`, or the file that it names with `Path` behind it; undefined if neither is there. */
export function readPart(
  options: Readonly<Record<string, unknown>>,
  part: 'cert' | 'key' | 'ca',
  prefix: string,
): Uint8Array | undefined {
  const value = options[part];
  const path = options[`${part}Path`];
  if (value !== undefined && path !== undefined) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `options "${prefix}${part}" and "${prefix}${part}Path" were both given: remove one`,
    );
  }
  if (path !== undefined) return readFile(path, `${prefix}${part}Path`);
  return value === undefined ? undefined : partBytes(value, part, prefix);
}

function partBytes(value: unknown, part: 'cert' | 'key' | 'ca', prefix: string): Uint8Array {
  const name = `${prefix}${part}`;
  if (typeof value === 'string') {
    if (value.includes('-----BEGIN ')) return encoder.encode(value);
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "${name}" is text without "-----BEGIN": expected PEM; for a file use "${name}Path"`,
    );
  }
  if (value instanceof Uint8Array && value.byteLength > 0) return value;
  throw usageError(
    'ERR_H3_OPTION_TYPE',
    `option "${name}" is ${describe(value)}; expected PEM text, or a Uint8Array of PEM or DER`,
  );
}

function readFile(path: unknown, name: string): Uint8Array {
  if (!(path instanceof URL) && (typeof path !== 'string' || path === '')) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "${name}" is ${describe(path)}; expected a path or a file: URL`,
    );
  }
  try {
    return builtin('node:fs').readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw usageError(
      'ERR_H3_OPTION_FILE',
      `option "${name}": cannot read "${String(path)}": ${reason}`,
      cause,
    );
  }
}
