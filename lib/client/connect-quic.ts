import { readAlpn } from '../alpn.js';
import { describe, usageError } from '../errors.js';
import { fromNative } from '../native-error.js';
import { checkInteger, checkKeys, checkObject, checkText } from '../option-check.js';
import { KeepAlive } from '../runtime.js';
import { nativeOptions } from './native-transport.js';
import { type H3ClientOptions, validateClientOptions } from './options.js';
import { type QUICClientConnection, QuicDialing } from './quic-connection.js';
import { resolveHost } from './resolver.js';
import { unlessAborted } from './unless-aborted.js';

/** Options of `connectQuic`: its own, and those of `H3Client` that are about connections. An unknown one is a TypeError. */
export interface ConnectQuicOptions
  extends Pick<
    H3ClientOptions,
    | 'ca'
    | 'caPath'
    | 'cert'
    | 'certPath'
    | 'connectTimeoutMs'
    | 'idleTimeoutMs'
    | 'insecure'
    | 'keepAliveMs'
    | 'key'
    | 'keyLog'
    | 'keyPath'
    | 'localAddress'
    | 'qlogDir'
    | 'resolve'
    | 'serverCertificateHashes'
  > {
  /** Protocols that are offered (ALPN), in order of preference: 1 to 255 ASCII characters each, not `h3`. */
  alpn: string | readonly string[];
  /** Gives the connecting up when it aborts; an open connection does not listen to it. Default: none. */
  signal?: AbortSignal | undefined;
}

/** Where a server is. */
export interface QUICTarget {
  /** A name, or an IP address without brackets. */
  hostname: string;
  /** Its UDP port. */
  port: number;
}

const OPTION_KEYS = Object.keys({
  alpn: 0,
  ca: 0,
  caPath: 0,
  cert: 0,
  certPath: 0,
  connectTimeoutMs: 0,
  idleTimeoutMs: 0,
  insecure: 0,
  keepAliveMs: 0,
  key: 0,
  keyLog: 0,
  keyPath: 0,
  localAddress: 0,
  qlogDir: 0,
  resolve: 0,
  serverCertificateHashes: 0,
  signal: 0,
} satisfies Record<keyof ConnectQuicOptions, 0>);

/**
 * Makes a connection of raw QUIC datagrams. Resolves when its handshake is complete. Rejects with a TypeError or RangeError
 * for options that cannot be used, with the reason of `signal`, or with an H3Error that says why there is no connection.
 * `target` is a URL, `https:` or `quic:`, of which host and port count.
 *
 * @example
 * const server = createH3Server({
 *   hostname: '127.0.0.1',
 *   quicAlpn: ['telemetry'],
 *   quicDatagram: (payload, context) => void context.sendReply(payload),
 * });
 *
 * const connection = await connectQuic(
 *   { hostname: '127.0.0.1', port: server.port },
 *   { alpn: 'telemetry', serverCertificateHashes: [server.certificateHash] },
 * );
 * connection.send(new Uint8Array([1, 2, 3]));
 * const { value } = await connection.datagrams.readable.getReader().read();
 * console.log(value);
 *
 * connection.close();
 * await server.stop(true);
 */
export async function connectQuic(
  target: string | URL | QUICTarget,
  options: ConnectQuicOptions,
): Promise<QUICClientConnection> {
  const { host, port } = readTarget(target);
  const given = checkObject(options, 'the second argument of connectQuic');
  checkKeys(given, OPTION_KEYS, 'the options object');
  const { alpn, signal, ...rest } = options;
  const offered = readAlpn(typeof alpn === 'string' ? [alpn] : alpn, 'alpn');
  if (offered.length === 0) {
    throw usageError('ERR_H3_OPTION_RANGE', 'option "alpn" has no entry; expected at least one protocol');
  }
  const validated = validateClientOptions(rest);
  const keepAlive = new KeepAlive();
  keepAlive.hold();
  try {
    signal?.throwIfAborted();
    const addresses = await resolveHost(host, validated, [signal]);
    signal?.throwIfAborted();
    const dialing = native(() => new QuicDialing({ ...nativeOptions(validated), alpn: [...offered] }));
    return await untilAborted(
      dialing,
      dial(dialing, { host, port, ...(addresses && { addresses: [...addresses] }) }),
      signal,
    );
  } finally {
    keepAlive.release();
  }
}

type NativeTarget = Parameters<QuicDialing['native']['connect']>[0];

async function dial(dialing: QuicDialing, to: NativeTarget): Promise<QUICClientConnection> {
  const made = await native(() => dialing.native.connect(to));
  if ('alpn' in made) return dialing.open(made);
  void dialing.native.destroy();
  throw fromNative(made);
}

/** The connection, unless `signal` aborts first: then what comes of the dialling is closed. */
async function untilAborted(
  dialing: QuicDialing,
  connecting: Promise<QUICClientConnection>,
  signal: AbortSignal | undefined,
): Promise<QUICClientConnection> {
  if (signal === undefined) return connecting;
  try {
    return await unlessAborted(connecting, signal);
  } catch (error) {
    connecting.then(
      (connection) => connection.close(),
      () => undefined,
    );
    void dialing.native.destroy();
    throw error;
  }
}

function readTarget(target: unknown): { host: string; port: number } {
  if (typeof target === 'object' && target !== null && !(target instanceof URL)) {
    const given = checkObject(target, 'the target');
    checkKeys(given, ['hostname', 'port'], 'the target');
    const host = checkText(given['hostname'], 'hostname', 'a host name or an IP address');
    return { host, port: checkInteger(given['port'], 'port', 1, 65_535) };
  }
  let url: URL;
  try {
    url = new URL(target as string | URL);
  } catch (cause) {
    const text = typeof target === 'string' ? JSON.stringify(target) : describe(target);
    throw usageError(
      'ERR_H3_CLIENT_REQUEST',
      `${text} is no absolute URL, such as "quic://localhost:4433"`,
      cause,
    );
  }
  if (url.protocol !== 'https:' && url.protocol !== 'quic:') {
    throw usageError(
      'ERR_H3_CLIENT_REQUEST',
      `the URL begins with ${url.protocol}; expected https: or quic:`,
    );
  }
  if (url.protocol === 'quic:' && url.port === '') {
    throw usageError(
      'ERR_H3_CLIENT_REQUEST',
      `the URL ${url.href} has no port, and quic: has none of its own`,
    );
  }
  const { hostname } = url;
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  return { host, port: url.port === '' ? 443 : Number(url.port) };
}

/** Runs a call of the native part; what it throws becomes an error of the table. */
function native<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}
