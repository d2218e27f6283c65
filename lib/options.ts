import { readAlpn } from './alpn.js';
import type { H3Connection, QUICDatagramContext } from './datagrams.js';
import { describe, usageError } from './errors.js';
import {
  type HostIdentity,
  type Identity,
  type IdentityOptions,
  readHostIdentities,
  readIdentity,
} from './identity.js';
import type { Logger } from './logger.js';
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
} from './option-check.js';
import type { H3Request } from './request.js';
import type { H3RequestEnd, RequestEndHook } from './request-end.js';
import {
  type BodyMode,
  checkMode,
  type Handler,
  normaliseRoutes,
  type Route,
  type RouteDefinitions,
} from './routes.js';
import type { H3Server } from './server.js';
import {
  type ClientCertificateOptions,
  type ClientCertificates,
  type Resumption,
  readClientCertificates,
  readSessions,
  type SessionOptions,
} from './tls-options.js';

/** Answers for a handler that failed; without a Response the client gets a plain 500. */
export type ErrorHandler = (
  error: unknown,
  server: H3Server,
) => Response | undefined | Promise<Response | undefined>;

/** Bounds that the server enforces against its clients before a handler sees anything. */
export interface H3Limits {
  /** Connections at once, handshakes included; more are refused. Default 10,000. */
  maxConnections?: number | undefined;
  /** Connections at once from one IPv4 address or one IPv6 network of 64 bits. Default 1,000. */
  maxConnectionsPerIp?: number | undefined;
  /** Handshakes under way above which new clients must prove their address (RFC 9000 §8.1.2). Default 256. */
  retryAboveHandshakes?: number | undefined;
  /** Handshakes a second, twice as many in one burst, above which new clients must prove their address. Default 1,000. */
  retryAboveHandshakesPerSecond?: number | undefined;
  /** Requests open at once on one connection. Default 256. */
  maxConcurrentStreams?: number | undefined;
  /** Bytes of one header section, name + value + 32 for each field (RFC 9114 §4.2.2). Default 16,384. */
  maxHeaderBytes?: number | undefined;
  /** Fields in one header section. Default 128. */
  maxHeaderFields?: number | undefined;
  /** Bytes of unfinished buffered bodies on one connection; beyond, only the oldest is read on. Default 16 MiB. */
  maxUnfinishedBodyBytes?: number | undefined;
  /** Silence after which a connection is closed, in milliseconds. Default 30,000. */
  idleTimeoutMs?: number | undefined;
  /** Time for a handshake, in milliseconds. Default 10,000. */
  handshakeTimeoutMs?: number | undefined;
  /** Time from a request's first byte to its complete header section, in milliseconds. Default 10,000. */
  headerTimeoutMs?: number | undefined;
  /** Time within which some byte of a request body must arrive, in milliseconds. Default 30,000. */
  bodyTimeoutMs?: number | undefined;
  /** Bytes that a client may send ahead on one stream. Default 1 MiB. */
  streamReceiveWindowBytes?: number | undefined;
  /** Bytes that a client may send ahead on one connection. Default 4 MiB. */
  connectionReceiveWindowBytes?: number | undefined;
  /** Bytes of answers kept for one connection until they are acknowledged. Default 4 MiB. */
  sendWindowBytes?: number | undefined;
  /** Requests a second that a client may open and give up before its connection ends; twice as many in one burst. Default 10,000. */
  maxAbandonedStreamsPerSecond?: number | undefined;
  /** Frames a second without content, of HTTP/3 and of QUIC each, before a connection ends; requests and bytes carried earn more. Default 10,000. */
  maxOverheadFramesPerSecond?: number | undefined;
  /** WebTransport sessions at once on one connection; more are refused. Default 32. */
  maxSessionsPerConnection?: number | undefined;
  /** Bytes that a client may send ahead on all streams of one WebTransport session; only clients that speak flow control of sessions are held to it. Default 1 MiB. */
  sessionReceiveWindowBytes?: number | undefined;
  /** Bidirectional streams that a client may have open at once in one WebTransport session, if it speaks flow control of sessions. Default 128. */
  maxSessionStreams?: number | undefined;
  /** Unidirectional streams that a client may have open at once in one WebTransport session, if it speaks flow control of sessions. Default 64. */
  maxSessionUniStreams?: number | undefined;
  /** Bytes of datagrams of one connection that wait to be read; the oldest are dropped. Default 1 MiB. */
  datagramReceiveBufferBytes?: number | undefined;
  /** Bytes of datagrams of one connection that wait to be sent; the oldest are dropped. Default 1 MiB. */
  datagramSendQueueBytes?: number | undefined;
  /** Time that a datagram may wait to be sent, in milliseconds; then it is dropped. Default none. */
  datagramMaxAgeMs?: number | undefined;
}

/** Who answers: what `reload()` can replace. */
export interface H3Handlers<Patterns extends readonly string[] = readonly string[]> {
  /** Routes; the most specific one that matches answers, whatever the order. Default: none. */
  routes?: RouteDefinitions<Patterns> | undefined;
  /** Answers what no route matches. Default: 404. */
  fetch?(request: H3Request, server: H3Server): Response | Promise<Response>;
  /** Called when a handler throws, rejects, or returns what cannot be sent. Default: the logger, and a plain 500. */
  error?(error: unknown, server: H3Server): Response | undefined | Promise<Response | undefined>;
}

/** Options of `createH3Server`. An unknown one is a TypeError. */
export interface H3ServeOptions<Patterns extends readonly string[] = readonly string[]>
  extends H3Handlers<Patterns>,
    IdentityOptions,
    SessionOptions,
    ClientCertificateOptions {
  /** IP address or name to listen on. Default: all addresses, IPv6 and IPv4 where the machine has both. */
  hostname?: string | undefined;
  /** UDP port, 0 to 65535. Default 0: any free one; `server.port` says which. */
  port?: number | undefined;
  /** Certificates by host name or `*.` and a name; others get `cert`. Default: none. */
  sni?: Readonly<Record<string, IdentityOptions>> | undefined;
  /**
   * What handlers receive: `"own"`, a Request of the runtime, or `"lazy"`, a cheaper object that passes for one except in
   * `new Request(request)` and `fetch(request)`. Default `"own"`.
   */
  request?: 'own' | 'lazy' | undefined;
  /** How bodies arrive where a route does not say. Default `"buffered"`. */
  mode?: BodyMode | undefined;
  /** Gets what handlers throw; nothing of it goes to clients. Default `console`. */
  logger?: Logger | undefined;
  /** Bytes of one buffered request body; one more is answered 413. Default 1,048,576. */
  maxBodyBytes?: number | undefined;
  /** Bounds against clients; each left out has its default. */
  limits?: H3Limits | undefined;
  /**
   * Who must answer a Retry packet before its handshake (RFC 9000 §8.1.2): `"always"`, every client that brings no token of
   * an earlier connection; `"auto"`, new ones while there are many. Default `"auto"`.
   */
  addressValidation?: 'auto' | 'always' | undefined;
  /**
   * Secret of at least 32 random bytes. A server that comes after a crash or on another machine, with the same one and at
   * the same address, tells clients of the former at once that their connections are gone (RFC 9000 §10.3). Never share it
   * among servers that run at the same time for the same clients. Default: random, so clients find out by their timeouts.
   */
  statelessResetKey?: Uint8Array | undefined;
  /** Time that `stop()` gives requests under way, in milliseconds. Default 10,000. */
  drainTimeoutMs?: number | undefined;
  /** File to which the secrets of connections are appended (NSS key log format): for debugging only. Default: none. */
  keyLog?: string | undefined;
  /**
   * Folder in which each connection gets a qlog file, `<id>_server.sqlog`, with its packets and recovery metrics: for
   * debugging only, nothing removes the files. What cannot be written ends the file, not the connection. Default: none.
   */
  qlogDir?: string | undefined;
  /**
   * Takes raw QUIC datagrams (RFC 9221): all of connections with a protocol of `quicAlpn`, and those of h3 connections on
   * which HTTP datagrams were not agreed. What it throws goes to the logger. Default: none are taken.
   */
  quicDatagram?(payload: Uint8Array, context: QUICDatagramContext): void | Promise<void>;
  /** Protocols besides h3 that clients may ask for (ALPN); such connections have raw datagrams only. Default none. */
  quicAlpn?: readonly string[] | undefined;
  /**
   * Hands datagrams whose request is not there to `quicDatagram`, though HTTP datagrams were agreed. Their first bytes may
   * happen to name a request: then they are that request's. Default false.
   */
  quicDatagramFallback?: boolean | undefined;
  /** Hears of each connection when its handshake is complete. What it throws goes to the logger. Default: nobody does. */
  onConnection?(connection: H3Connection, server: H3Server): void;
  /** Hears how each connection ended. What it throws goes to the logger. Default: nobody does. */
  onConnectionClose?(connection: H3Connection, cause: ConnectionCloseCause, server: H3Server): void;
  /**
   * Hears of each request when it is over: for access logs. What it throws goes to the logger. Malformed requests, and those
   * given up before their header section was complete, are only counted. Default: none, and nothing is remembered of requests.
   */
  onRequestEnd?(entry: H3RequestEnd, server: H3Server): void | Promise<void>;
  /** Whether how long requests take is counted, for `server.metrics()`, by route, method and class of status. Default false. */
  metrics?: boolean | undefined;
  /** Whether the logger is told, once for each process, that the kernel's UDP buffers are small, and what to do. Default true. */
  udpBufferWarning?: boolean | undefined;
}

/** How a connection ended. */
export interface ConnectionCloseCause {
  /** Whether the client ended it. */
  readonly remote: boolean;
  /** The HTTP/3 or QUIC error code that the client sent; null if it sent none or this side ended it. */
  readonly code: number | null;
}

/** Whom a server tells of its connections. */
export interface ConnectionHooks {
  readonly quicDatagram: ((payload: Uint8Array, context: QUICDatagramContext) => unknown) | null;
  readonly onConnection: ((connection: H3Connection, server: H3Server) => unknown) | null;
  readonly onConnectionClose:
    | ((connection: H3Connection, cause: ConnectionCloseCause, server: H3Server) => unknown)
    | null;
}

/** The handlers after validation. */
export interface ValidatedHandlers {
  /** By route id. */
  readonly routes: readonly Route[];
  readonly fetch: Handler | null;
  readonly error: ErrorHandler | null;
}

/** The options after validation: files are read, defaults of this side are filled in, types can be trusted. */
export interface ValidatedOptions extends ValidatedHandlers, ConnectionHooks {
  readonly quicAlpn: readonly string[];
  readonly quicDatagramFallback: boolean;
  readonly hostname: string | undefined;
  readonly port: number;
  /** Undefined: a development certificate is made. */
  readonly identity: Identity | undefined;
  readonly sni: readonly HostIdentity[];
  readonly request: 'own' | 'lazy';
  readonly mode: BodyMode;
  readonly logger: Logger;
  /** Only what was given: the other defaults are the core's. */
  readonly limits: Readonly<Partial<Record<LimitName, number>>>;
  readonly addressValidation: 'auto' | 'always';
  readonly statelessResetKey: Uint8Array | undefined;
  readonly drainTimeoutMs: number;
  readonly keyLog: string | undefined;
  readonly qlogDir: string | undefined;
  readonly resumption: Resumption;
  readonly clientCertificates: ClientCertificates | undefined;
  readonly onRequestEnd: RequestEndHook | null;
  readonly metrics: boolean;
  readonly udpBufferWarning: boolean;
}

type Range = readonly [least: number, most: number];

const DAY_MS = 86_400_000;
const GIBIBYTE = 2 ** 30;
const KIBIBYTE = 1024;
/** As many as the hash of the core gives, from which keys are derived. */
const RESET_KEY_BYTES = 32;

/** What each limit may be. The least values are those with which a server can still serve. */
const LIMIT_RANGES = {
  maxConnections: [1, 1_000_000],
  maxConnectionsPerIp: [1, 1_000_000],
  retryAboveHandshakes: [0, 1_000_000],
  retryAboveHandshakesPerSecond: [0, 1_000_000],
  maxConcurrentStreams: [1, 65_535],
  maxHeaderBytes: [256, GIBIBYTE],
  maxHeaderFields: [4, 65_535],
  maxUnfinishedBodyBytes: [KIBIBYTE, GIBIBYTE],
  idleTimeoutMs: [1, DAY_MS],
  handshakeTimeoutMs: [1, DAY_MS],
  headerTimeoutMs: [1, DAY_MS],
  bodyTimeoutMs: [1, DAY_MS],
  streamReceiveWindowBytes: [KIBIBYTE, GIBIBYTE],
  /** 1 KiB for each of the three streams that HTTP/3 itself needs (RFC 9114 §6.2). */
  connectionReceiveWindowBytes: [3 * KIBIBYTE, GIBIBYTE],
  sendWindowBytes: [KIBIBYTE, GIBIBYTE],
  maxAbandonedStreamsPerSecond: [1, 1_000_000],
  maxOverheadFramesPerSecond: [1, 1_000_000],
  maxSessionsPerConnection: [1, 65_535],
  sessionReceiveWindowBytes: [KIBIBYTE, GIBIBYTE],
  maxSessionStreams: [1, 65_535],
  maxSessionUniStreams: [1, 65_535],
  datagramReceiveBufferBytes: [2048, GIBIBYTE],
  datagramSendQueueBytes: [2048, GIBIBYTE],
  datagramMaxAgeMs: [1, DAY_MS],
} as const satisfies Record<keyof H3Limits, Range>;

/** The numbers that go to the core. */
export type LimitName = keyof typeof LIMIT_RANGES | 'maxBodyBytes';

/** What `reload()` can replace. */
export const HANDLER_KEYS = ['routes', 'fetch', 'error'] as const satisfies readonly (keyof H3Handlers)[];
/** The names of all options of `createH3Server`. */
export const OPTION_KEYS: readonly string[] = Object.keys({
  routes: 0,
  fetch: 0,
  error: 0,
  hostname: 0,
  port: 0,
  cert: 0,
  key: 0,
  certPath: 0,
  keyPath: 0,
  sni: 0,
  request: 0,
  mode: 0,
  logger: 0,
  maxBodyBytes: 0,
  limits: 0,
  addressValidation: 0,
  statelessResetKey: 0,
  drainTimeoutMs: 0,
  keyLog: 0,
  qlogDir: 0,
  sessionResumption: 0,
  earlyData: 0,
  clientCertificates: 0,
  ca: 0,
  caPath: 0,
  quicDatagram: 0,
  quicAlpn: 0,
  quicDatagramFallback: 0,
  onConnection: 0,
  onConnectionClose: 0,
  onRequestEnd: 0,
  metrics: 0,
  udpBufferWarning: 0,
} satisfies Record<keyof H3ServeOptions, 0>);

/**
 * Checks what the user passed to `createH3Server` and reads the files it names. Throws a TypeError or RangeError that
 * names the option, its value's type and what is allowed.
 */
export function validateOptions(options: unknown): ValidatedOptions {
  const given = checkObject(options, 'the argument of createH3Server');
  checkKeys(given, OPTION_KEYS, 'the options object');
  const mode = optional(given['mode'], (value) => checkMode(value, 'option "mode"')) ?? 'buffered';
  return {
    ...readHandlers(given, mode),
    hostname: optional(given['hostname'], (value) =>
      checkText(value, 'hostname', 'an IP address or a host name'),
    ),
    port: optional(given['port'], (value) => checkInteger(value, 'port', 0, 65_535)) ?? 0,
    identity: readIdentity(given, ''),
    sni: readHostIdentities(given['sni']),
    request: optional(given['request'], (value) => checkChoice(value, 'request', ['own', 'lazy'])) ?? 'own',
    mode,
    logger: optional(given['logger'], checkLogger) ?? globalThis.console,
    limits: checkLimits(given['limits'], given['maxBodyBytes']),
    addressValidation:
      optional(given['addressValidation'], (value) =>
        checkChoice(value, 'addressValidation', ['auto', 'always'] as const),
      ) ?? 'auto',
    statelessResetKey: optional(given['statelessResetKey'], checkResetKey),
    drainTimeoutMs:
      optional(given['drainTimeoutMs'], (value) => checkInteger(value, 'drainTimeoutMs', 0, DAY_MS)) ??
      10_000,
    ...readConnectionHooks(given),
    quicAlpn: optional(given['quicAlpn'], (value) => readAlpn(value, 'quicAlpn')) ?? [],
    quicDatagramFallback:
      optional(given['quicDatagramFallback'], (value) => checkBoolean(value, 'quicDatagramFallback')) ??
      false,
    keyLog: optional(given['keyLog'], (value) => checkText(value, 'keyLog', 'the path of a file')),
    qlogDir: optional(given['qlogDir'], (value) => checkFolder(value, 'qlogDir')),
    resumption: readSessions(given),
    clientCertificates: readClientCertificates(given),
    onRequestEnd:
      optional(given['onRequestEnd'], (value) => checkFunction<RequestEndHook>(value, 'onRequestEnd')) ??
      null,
    metrics: optional(given['metrics'], (value) => checkBoolean(value, 'metrics')) ?? false,
    udpBufferWarning:
      optional(given['udpBufferWarning'], (value) => checkBoolean(value, 'udpBufferWarning')) ?? true,
  };
}

function readHandlers(given: Readonly<Record<string, unknown>>, mode: BodyMode): ValidatedHandlers {
  return {
    routes: normaliseRoutes(given['routes'], mode),
    fetch: optional(given['fetch'], (value) => checkFunction<Handler>(value, 'fetch')) ?? null,
    error: optional(given['error'], (value) => checkFunction<ErrorHandler>(value, 'error')) ?? null,
  };
}

function readConnectionHooks(given: Readonly<Record<string, unknown>>): ConnectionHooks {
  const hook = <Hook>(name: keyof ConnectionHooks): Hook | null =>
    optional(given[name], (value) => checkFunction<Hook>(value, name)) ?? null;
  return {
    quicDatagram: hook('quicDatagram'),
    onConnection: hook('onConnection'),
    onConnectionClose: hook('onConnectionClose'),
  };
}

/** A copy: the caller may wipe its own. */
function checkResetKey(value: unknown): Uint8Array {
  const expected = `a Uint8Array of at least ${RESET_KEY_BYTES} random bytes`;
  if (!(value instanceof Uint8Array)) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "statelessResetKey" is ${describe(value)}; expected ${expected}`,
    );
  }
  if (value.byteLength >= RESET_KEY_BYTES) return value.slice();
  throw usageError(
    'ERR_H3_OPTION_RANGE',
    `option "statelessResetKey" has ${value.byteLength} bytes; expected ${expected}`,
  );
}

function checkLogger(value: unknown): Logger {
  const logger = checkObject(value, 'option "logger"');
  for (const method of ['debug', 'info', 'warn', 'error']) checkFunction(logger[method], `logger.${method}`);
  return value as Logger;
}

function checkLimits(limits: unknown, maxBodyBytes: unknown): Partial<Record<LimitName, number>> {
  const checked: Partial<Record<LimitName, number>> = {};
  if (maxBodyBytes !== undefined)
    checked.maxBodyBytes = checkInteger(maxBodyBytes, 'maxBodyBytes', 0, GIBIBYTE);
  if (limits === undefined) return checked;
  const given = checkObject(limits, 'option "limits"');
  checkKeys(given, Object.keys(LIMIT_RANGES), 'option "limits"');
  for (const [name, [least, most]] of Object.entries(LIMIT_RANGES) as [keyof H3Limits, Range][]) {
    if (given[name] !== undefined) checked[name] = checkInteger(given[name], `limits.${name}`, least, most);
  }
  return checked;
}
