import { Buffer } from 'node:buffer';
import type { ParseArgsConfig } from 'node:util';
import type { H3ClientOptions } from '../client/options.js';
import { CommandError, EXIT } from './exit-code.js';

/** Options of every command that dials. */
export const TRUST_OPTIONS = {
  insecure: { type: 'boolean', short: 'k' },
  ca: { type: 'string' },
  pin: { type: 'string', multiple: true },
  cert: { type: 'string' },
  key: { type: 'string' },
  'connect-timeout': { type: 'string' },
  keylog: { type: 'string' },
  qlog: { type: 'string' },
} as const satisfies NonNullable<ParseArgsConfig['options']>;

export const TRUST_HELP = `  -k, --insecure            trust any certificate
      --ca FILE             trust the authorities in FILE instead of the system's
      --pin HASH            trust the certificate with this SHA-256, hexadecimal or base64 (may be repeated)
      --cert FILE           certificate of this client
      --key FILE            its private key
      --connect-timeout S   seconds for name resolution and handshake (10)
      --keylog FILE         append the secrets of the connection, for Wireshark
      --qlog DIR            write a qlog of the connection
`;

/** What `parseArgs` made of {@link TRUST_OPTIONS}. */
export interface TrustValues {
  readonly insecure?: boolean | undefined;
  readonly ca?: string | undefined;
  readonly pin?: string[] | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly 'connect-timeout'?: string | undefined;
  readonly keylog?: string | undefined;
  readonly qlog?: string | undefined;
}

/** Options of the client for the values of a command line. */
export function trustOptions(values: TrustValues): H3ClientOptions {
  const timeout = values['connect-timeout'];
  return {
    ...(values.insecure === true && { insecure: true }),
    ...(values.ca !== undefined && { caPath: values.ca }),
    ...(values.pin !== undefined && { serverCertificateHashes: values.pin.map(readHash) }),
    ...(values.cert !== undefined && { certPath: values.cert }),
    ...(values.key !== undefined && { keyPath: values.key }),
    ...(timeout !== undefined && { connectTimeoutMs: milliseconds(timeout, '--connect-timeout') }),
    ...(values.keylog !== undefined && { keyLog: values.keylog }),
    ...(values.qlog !== undefined && { qlogDir: values.qlog }),
  };
}

/** `text` as a URL; one without a scheme is https. */
export function readUrl(text: string | undefined, command: string): URL {
  if (text === undefined) throw new CommandError(EXIT.usage, `a URL is missing: trilane ${command} URL`);
  const spelt = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  if (URL.canParse(spelt)) return new URL(spelt);
  throw new CommandError(EXIT.badUrl, `${JSON.stringify(text)} is no URL`);
}

/** Seconds, as people write them, in milliseconds. */
export function milliseconds(seconds: string, option: string): number {
  const ms = Math.round(Number(seconds) * 1000);
  if (seconds !== '' && Number.isSafeInteger(ms) && ms > 0) return ms;
  throw new CommandError(
    EXIT.usage,
    `${option} is ${JSON.stringify(seconds)}; expected seconds, such as 2.5`,
  );
}

/** `text` as an integer from `least` to `most`. */
export function integer(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new CommandError(
    EXIT.usage,
    `${option} is ${JSON.stringify(text)}; expected an integer from ${least} to ${most}`,
  );
}

function readHash(text: string): Uint8Array {
  const hex = text.replace(/[:\s]/g, '');
  const bytes = /^[0-9a-f]{64}$/i.test(hex) ? Buffer.from(hex, 'hex') : Buffer.from(text, 'base64');
  if (bytes.byteLength === 32) return new Uint8Array(bytes);
  throw new CommandError(
    EXIT.usage,
    `--pin is ${JSON.stringify(text)}; expected a SHA-256 in hexadecimal or base64`,
  );
}
