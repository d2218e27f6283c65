import { describe, usageError } from '../errors.js';
import { fieldValue } from '../fields.js';
import { type Identity, type IdentityOptions, readIdentity, readPart } from '../identity.js';
import {
  checkBoolean,
  checkChoice,
  checkFolder,
  checkFunction,
  checkInteger,
  checkKeys,
  checkObject,
  checkText,
  optional,
} from '../option-check.js';
import { VERSION } from '../version.js';
import { type CertificateHash, readCertificateHashes } from './certificate-hashes.js';

/** Addresses of a host: IPv4 or IPv6, without brackets or ports. */
export type Resolve = (hostname: string) => string | readonly string[] | Promise<string | readonly string[]>;

/** Options of `H3Client`. An unknown one is a TypeError. */
export interface H3ClientOptions extends IdentityOptions {
  /** Authorities trusted instead of the system's: PEM text, or bytes of PEM or of one DER certificate. Default: the system's. */
  ca?: string | Uint8Array | undefined;
  /** File with the authorities, read at once. Default: none. */
  caPath?: string | URL | undefined;
  /**
   * SHA-256 of the certificates (DER) that are trusted, whoever issued them and for whatever name; the certificate must be
   * fit for that (W3C WebTransport): ECDSA P-256, valid for 14 days at most. Not with `ca`. Default: none.
   */
  serverCertificateHashes?: readonly CertificateHash[] | undefined;
  /** Trusts every certificate: anyone on the path can read and change everything. Default false. */
  insecure?: boolean | undefined;
  /** Address of this machine that connections come from. Default: what the system chooses. */
  localAddress?: string | undefined;
  /** Time for name resolution and handshake, in milliseconds. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** Time from the end of a request to the head of its response, in milliseconds; 0: no limit. Default 300,000. */
  headersTimeoutMs?: number | undefined;
  /** Time within which some byte of a response body must come while it is read, in milliseconds; 0: no limit. Default 300,000. */
  bodyTimeoutMs?: number | undefined;
  /** Silence after which a connection is closed, in milliseconds. Default 30,000. */
  idleTimeoutMs?: number | undefined;
  /** Connections to one origin; more requests than they carry wait. Default 4. */
  maxConnectionsPerOrigin?: number | undefined;
  /** Time of silence after which an open connection is kept alive by a PING, in milliseconds; 0: it is not. Default 0. */
  keepAliveMs?: number | undefined;
  /** File to which the secrets of connections are appended (NSS key log format): for debugging only. Default: none. */
  keyLog?: string | undefined;
  /** Folder in which each connection gets a qlog file: for debugging only, nothing removes the files. Default: none. */
  qlogDir?: string | undefined;
  /** Names the addresses of a host instead of the system's resolver. IP addresses in URLs do not come here. Default: none. */
  resolve?: Resolve | undefined;
  /**
   * `"safe-methods"`: GET, HEAD and OPTIONS without a body go in early data (0-RTT) where a ticket allows it. An attacker can
   * replay them (RFC 8470). Default `"off"`.
   */
  earlyData?: 'off' | 'safe-methods' | undefined;
  /** Bytes of the header section of a response, name + value + 32 for each field (RFC 9114 §4.2.2). Default 65,536. */
  maxResponseHeaderBytes?: number | undefined;
  /** Redirects that a request follows. Default 20. */
  maxRedirects?: number | undefined;
  /** The `user-agent` of requests that have none; `""`: none is sent. Default `"trilane/<version>"`. */
  userAgent?: string | undefined;
  /** Asks for compressed responses and undoes their content coding. Default true. */
  decompress?: boolean | undefined;
}

/** The numbers that go to the native client. */
export type ClientLimitName = keyof typeof LIMIT_RANGES;

/** The options after validation: files are read, defaults are filled in, types can be trusted. */
export interface ValidatedClientOptions {
  readonly identity: Identity | undefined;
  /** PEM or DER; undefined: the system's authorities. */
  readonly ca: Uint8Array | undefined;
  /** Hashes of 32 bytes; empty: none. */
  readonly serverCertificateHashes: readonly Uint8Array[];
  readonly insecure: boolean;
  readonly localAddress: string | undefined;
  readonly limits: Readonly<Record<ClientLimitName, number>>;
  readonly keyLog: string | undefined;
  readonly qlogDir: string | undefined;
  readonly resolve: Resolve | undefined;
  readonly earlyData: 'off' | 'safe-methods';
  readonly maxRedirects: number;
  readonly userAgent: string;
  readonly decompress: boolean;
}

const DAY_MS = 86_400_000;
const GIBIBYTE = 2 ** 30;
/** As many as the Fetch standard allows (HTTP-redirect fetch). */
const MOST_REDIRECTS = 20;

/** What each limit may be, and what it is if nothing is said. */
const LIMIT_RANGES = {
  connectTimeoutMs: [1, DAY_MS, 10_000],
  headersTimeoutMs: [0, DAY_MS, 300_000],
  bodyTimeoutMs: [0, DAY_MS, 300_000],
  idleTimeoutMs: [1, DAY_MS, 30_000],
  maxConnectionsPerOrigin: [1, 1024, 4],
  keepAliveMs: [0, DAY_MS, 0],
  maxResponseHeaderBytes: [256, GIBIBYTE, 65_536],
} as const satisfies Record<string, readonly [least: number, most: number, standard: number]>;

const OPTION_KEYS = Object.keys({
  cert: 0,
  key: 0,
  certPath: 0,
  keyPath: 0,
  ca: 0,
  caPath: 0,
  serverCertificateHashes: 0,
  insecure: 0,
  localAddress: 0,
  connectTimeoutMs: 0,
  headersTimeoutMs: 0,
  bodyTimeoutMs: 0,
  idleTimeoutMs: 0,
  maxConnectionsPerOrigin: 0,
  keepAliveMs: 0,
  keyLog: 0,
  qlogDir: 0,
  resolve: 0,
  earlyData: 0,
  maxResponseHeaderBytes: 0,
  maxRedirects: 0,
  userAgent: 0,
  decompress: 0,
} satisfies Record<keyof H3ClientOptions, 0>);

/**
 * Checks what the user passed to `new H3Client` and reads the files it names. Throws a TypeError or RangeError that names
 * the option, its value's type and what is allowed.
 */
export function validateClientOptions(options: unknown): ValidatedClientOptions {
  const given = checkObject(options, 'the argument of H3Client');
  checkKeys(given, OPTION_KEYS, 'the options object');
  const limits = Object.entries(LIMIT_RANGES).map(([name, [least, most, standard]]) => [
    name,
    optional(given[name], (value) => checkInteger(value, name, least, most)) ?? standard,
  ]);
  return {
    ...readTrust(given),
    identity: readIdentity(given, ''),
    localAddress: optional(given['localAddress'], (value) =>
      checkText(value, 'localAddress', 'an IP address'),
    ),
    limits: Object.fromEntries(limits) as Record<ClientLimitName, number>,
    keyLog: optional(given['keyLog'], (value) => checkText(value, 'keyLog', 'the path of a file')),
    qlogDir: optional(given['qlogDir'], (value) => checkFolder(value, 'qlogDir')),
    resolve: optional(given['resolve'], (value) => checkFunction<Resolve>(value, 'resolve')),
    earlyData:
      optional(given['earlyData'], (value) => checkChoice(value, 'earlyData', ['off', 'safe-methods'])) ??
      'off',
    maxRedirects:
      optional(given['maxRedirects'], (value) => checkInteger(value, 'maxRedirects', 0, MOST_REDIRECTS)) ??
      MOST_REDIRECTS,
    userAgent: optional(given['userAgent'], checkUserAgent) ?? `trilane/${VERSION}`,
    decompress: optional(given['decompress'], (value) => checkBoolean(value, 'decompress')) ?? true,
  };
}

type Trust = Pick<ValidatedClientOptions, 'ca' | 'serverCertificateHashes' | 'insecure'>;

/** Each of the three says whom to believe: two of them contradict each other. */
function readTrust(given: Readonly<Record<string, unknown>>): Trust {
  const ca = readPart(given, 'ca', '');
  const serverCertificateHashes = readCertificateHashes(given['serverCertificateHashes']);
  const insecure = optional(given['insecure'], (value) => checkBoolean(value, 'insecure')) ?? false;
  const ways = [
    ...(ca === undefined ? [] : ['ca']),
    ...(serverCertificateHashes.length === 0 ? [] : ['serverCertificateHashes']),
    ...(insecure ? ['insecure'] : []),
  ];
  if (ways.length > 1) {
    const names = ways.map((name) => `"${name}"`).join(' and ');
    throw usageError('ERR_H3_OPTION_TYPE', `options ${names} contradict each other: keep one`);
  }
  return { ca, serverCertificateHashes, insecure };
}

function checkUserAgent(value: unknown): string {
  if (typeof value === 'string') return fieldValue('user-agent', value);
  throw usageError('ERR_H3_OPTION_TYPE', `option "userAgent" is ${describe(value)}; expected text`);
}
