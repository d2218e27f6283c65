import type { NativeConnection, NativeRoute, NativeStats } from '../binding.cjs';
import { Connections } from './connections.js';
import { type H3Connection, hexOf, type RemoteAddress } from './datagrams.js';
import { Dispatcher } from './dispatcher.js';
import { H3Error } from './errors.js';
import { Exchange } from './exchange.js';
import { packHeaders } from './headers.js';
import { interimStatus } from './lazy-response.js';
import { harmless, type Logger } from './logger.js';
import { metricsText } from './metrics.js';
import { NativeServer } from './native.js';
import { fromNative } from './native-error.js';
import {
  type H3ServeOptions,
  type ValidatedHandlers,
  type ValidatedOptions,
  validateOptions,
} from './options.js';
import { type H3ReloadOptions, validateReload } from './reload.js';
import { partsOf } from './request.js';
import type { Route } from './routes.js';
import { KeepAlive } from './runtime.js';
import { type TlsUpdate, validateTlsUpdate } from './tls-options.js';
import { warnOfSmallBuffers } from './udp-buffers.js';

/** Counters of a server since it was made, through all its starts and stops. */
export interface H3ServerStats extends Readonly<NativeStats> {
  /** How often a handler threw, rejected, or gave what cannot be sent. */
  readonly handlerErrors: bigint;
}

type HeadersInit = ConstructorParameters<typeof Headers>[0];

/** One connection at one moment. */
export interface H3ConnectionStats extends H3Connection, Omit<Readonly<NativeConnection>, NamesInside> {}
type NamesInside =
  | 'slot'
  | 'generation'
  | 'id'
  | 'originalDestinationConnectionId'
  | 'remoteAddress'
  | 'alpn';

/** Names that mean every address of the machine: no client asks for them. */
const UNSPECIFIED: ReadonlySet<string> = new Set(['::', '0.0.0.0', '[::]']);

/**
 * An HTTP/3 server. It keeps the process alive while it listens; see {@link unref}.
 *
 * @example
 * await using server = createH3Server({ fetch: () => new Response('hello') });
 * console.log(`${server.url}`);
 */
export class H3Server {
  readonly #options: ValidatedOptions;
  readonly #dispatcher: Dispatcher;
  readonly #native: NativeServer;
  readonly #keepAlive = new KeepAlive();
  readonly #logger: Logger;
  #handlers: ValidatedHandlers;
  #port = 0;
  #closed = false;
  #stopping = new AbortController();

  /** @internal Use {@link createH3Server}. */
  constructor(options: ValidatedOptions) {
    this.#options = options;
    this.#handlers = options;
    this.#logger = harmless(options.logger);
    this.#dispatcher = new Dispatcher({
      routes: options.routes,
      fallback: options.fetch,
      error: options.error,
      request: options.request,
      logger: this.#logger,
      connections: options,
      onRequestEnd: options.onRequestEnd,
    });
    const { words, bytes } = this.#dispatcher.outbox;
    this.#native = native(() => new NativeServer(nativeOptions(options), words, bytes));
    this.#dispatcher.connect(this.#native, this);
  }

  /** The UDP port: the one asked for, or the free one that was found; that of the last start while stopped. */
  get port(): number {
    return this.#port;
  }

  /** The host name or address asked for; `localhost` if the server listens on all. */
  get hostname(): string {
    const { hostname } = this.#options;
    return hostname === undefined || UNSPECIFIED.has(hostname) ? 'localhost' : hostname;
  }

  /** Where clients on this machine find the server. */
  get url(): URL {
    const { hostname } = this;
    const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname;
    return new URL(`https://${host}:${this.#port}/`);
  }

  /**
   * SHA-256 of the certificate (DER) that the next handshake is shown, as `serverCertificateHashes` of a browser's
   * WebTransport takes it. A development certificate is replaced when two thirds of its 13 days are over, another one by
   * {@link updateTls}: read this anew for every page that is to connect.
   */
  get certificateHash(): Uint8Array {
    return this.#native.certificateHash;
  }

  /**
   * The certificate (DER) that the next handshake is shown, without its chain: what {@link certificateHash} is the hash of.
   * Node turns it into PEM: `new X509Certificate(server.certificate).toString()`, with the class of `node:crypto`.
   */
  get certificate(): Uint8Array {
    return this.#native.certificate;
  }

  /**
   * Aborts when {@link stop} or {@link close} begins; {@link start} puts a new one in its place. Requests under way are waited
   * for until `drainTimeoutMs`, so what would never end by itself, an event stream or a session, ends when this aborts.
   *
   * @example
   * const server = createH3Server({
   *   routes: [
   *     {
   *       method: 'CONNECT',
   *       pattern: '/chat',
   *       webtransport(session) {
   *         server.stopping.addEventListener('abort', () => session.close());
   *       },
   *     },
   *   ],
   * });
   */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Whether the port is bound: from a start until the end of a stop. */
  get running(): boolean {
    return this.#native.running;
  }

  /**
   * Binds the port again after a stop; with port 0, the same port is not promised. Throws an {@link H3Error} with code
   * `ERR_H3_SERVER_RUNNING`, `ERR_H3_SERVER_CLOSED`, `ERR_H3_ADDRESS_IN_USE` or `ERR_H3_BIND`.
   */
  start(): this {
    if (this.#closed) throw closedError();
    const { address, smallBuffers } = native(() => this.#native.start(this.#dispatcher.hooks));
    this.#port = address.port;
    if (smallBuffers) warnOfSmallBuffers(this.#logger, smallBuffers);
    if (this.#stopping.signal.aborted) this.#stopping = new AbortController();
    this.#keepAlive.hold();
    return this;
  }

  /**
   * Stops. Without `force`: GOAWAY, requests under way finish within `drainTimeoutMs`, then every connection closes with
   * H3_NO_ERROR (RFC 9114 §5.2); new connections are refused meanwhile, and {@link stopping} aborts. With `force`: connections
   * close at once. Resolves when the port is free. Calls may overlap, and a forced one cuts a graceful one short.
   */
  async stop(force = false): Promise<void> {
    const stopped = this.#native.stop(force ? null : this.#options.drainTimeoutMs);
    this.#stopping.abort();
    await stopped;
    if (!this.running) this.#keepAlive.release();
  }

  /** Drops every connection and frees the port, without waiting; the server cannot start again. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#keepAlive.release();
    this.#native.close();
    this.#stopping.abort();
  }

  /** Stops gracefully, then closes: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.close();
  }

  /** The server keeps the process alive while it listens. This is the default. */
  ref(): this {
    this.#keepAlive.ref();
    return this;
  }

  /** The server no longer keeps the process alive. */
  unref(): this {
    this.#keepAlive.unref();
    return this;
  }

  /** The counters now. They are read without stopping the network: those of one call may be some packets apart. */
  getStats(): H3ServerStats {
    return { ...this.#native.stats, handlerErrors: this.#dispatcher.handlerErrors };
  }

  /**
   * What {@link getStats} counts, as text for Prometheus (exposition format 0.0.4, `text/plain; version=0.0.4`); with option
   * `metrics`, also how long requests took.
   *
   * @example
   * createH3Server({
   *   metrics: true,
   *   routes: [
   *     {
   *       method: 'GET',
   *       pattern: '/metrics',
   *       fetch: (_, server) =>
   *         new Response(server.metrics(), { headers: { 'content-type': 'text/plain; version=0.0.4' } }),
   *     },
   *   ],
   * });
   */
  metrics(): string {
    return metricsText(this.getStats(), this.#native.durations);
  }

  /** Every open connection: its path, round-trip time, losses and datagrams. */
  connections(): H3ConnectionStats[] {
    return this.#native.connections.map(({ slot, generation, id, ...rest }) => ({
      ...rest,
      connectionId: id,
      connectionIdHex: hexOf(id),
      remoteAddress: rest.remoteAddress as RemoteAddress,
    }));
  }

  /**
   * Queues a raw QUIC datagram for the connection with this id, given as its bytes or their hexadecimal; false if it was
   * not, because it is too large, the client takes none, or the connection is over. Needs option `quicDatagram`.
   */
  sendQuicDatagram(connectionId: Uint8Array | string, data: Uint8Array): boolean {
    return this.#dispatcher.connections.send(connectionId, data);
  }

  /**
   * Puts certificates in the place of others: handshakes that begin from now on get them, connections that are open live on,
   * and clients that resume a session are shown none. What the argument does not name stays. Throws a TypeError if anything
   * is wrong, and nothing is changed then; an {@link H3Error} with code `ERR_H3_SERVER_CLOSED` after {@link close}.
   */
  updateTls(update: TlsUpdate): this {
    if (this.#closed) throw closedError();
    const { identity, sni } = validateTlsUpdate(update);
    const changes = {
      ...(identity !== undefined && { identity }),
      ...(sni !== undefined && { sni: [...sni] }),
    };
    native(() => this.#native.updateTls(changes));
    return this;
  }

  /**
   * Puts handlers in the place of others, all in one step, for requests that begin from now on; those under way, their streams,
   * datagrams and sessions end with the handlers they began with. What the argument does not name stays. Throws a TypeError if
   * anything is wrong, and nothing is changed then: with code `ERR_H3_RELOAD` for what cannot change, because clients were told
   * of it or connections live by it (every other option, and routes that take sessions or datagrams if there were none when the
   * server was made); an {@link H3Error} with code `ERR_H3_SERVER_CLOSED` after {@link close}. Works while stopped too.
   *
   * @example
   * const server = createH3Server({ fetch: () => new Response('hello') });
   * server.reload({ fetch: () => new Response('maintenance', { status: 503 }), routes: [] });
   */
  reload<const Patterns extends readonly string[] = readonly string[]>(
    options: H3ReloadOptions<Patterns>,
  ): this {
    if (this.#closed) throw closedError();
    const { mode } = this.#options;
    const handlers = validateReload(options, this.#handlers, mode);
    const { routes, fetch, error } = handlers;
    const { number, over } = native(() =>
      this.#native.reload(nativeRoutes(routes), fetch !== null, mode === 'streaming'),
    );
    this.#handlers = handlers;
    this.#dispatcher.reload(number, { routes, fallback: fetch, error }, over);
    return this;
  }

  /** Where the client of a request is, or null once the request is over or if it is none of this server. */
  requestIP(request: Request): RemoteAddress | null {
    const exchange = this.#exchangeOf(request);
    if (exchange === null) return null;
    return this.#native.remoteAddress(exchange.slot, exchange.generation) as RemoteAddress | null;
  }

  /**
   * The certificate (DER) that the client of a request showed, checked against option `ca`; null if it showed none, once the
   * request is over, or if it is none of this server.
   */
  peerCertificate(request: Request): Uint8Array | null {
    const exchange = this.#exchangeOf(request);
    if (exchange === null) return null;
    return this.#native.peerCertificate(exchange.slot, exchange.generation);
  }

  /**
   * Sends an interim answer (RFC 9110 §15.2), such as 103 with `link` fields, before the final one; any number of them.
   * Returns false, and sends nothing, when it is too late: the final answer is on its way, the client is gone, or the request
   * is none of this server. Throws a RangeError for a status that is not 100 or 102 to 199, and a TypeError for headers that
   * cannot be sent; `content-length` is one.
   *
   * @example
   * createH3Server({
   *   fetch(request, server) {
   *     server.informational(request, 103, { link: '</style.css>; rel=preload; as=style' });
   *     return new Response('page');
   *   },
   * });
   */
  informational(request: Request, status: number, headers?: HeadersInit): boolean {
    const interim = interimStatus(status);
    const fields = packHeaders(headers);
    const exchange = this.#exchangeOf(request);
    if (exchange === null || exchange.answered || exchange.isGone) return false;
    native(() => this.#native.inform(exchange.slot, exchange.generation, interim, fields));
    return true;
  }

  #exchangeOf(request: Request): Exchange | null {
    const parts = partsOf(request);
    return parts instanceof Exchange && parts.owner === this.#dispatcher ? parts : null;
  }
}

/**
 * Makes an HTTP/3 server and lets it listen at once. Throws a TypeError or RangeError for an option that cannot be used,
 * and an {@link H3Error} if the port cannot be bound; nothing is left behind then.
 *
 * @example
 * const server = createH3Server({
 *   routes: [{ method: 'GET', pattern: '/users/:id', fetch: (req) => Response.json({ id: req.params.id }) }],
 *   fetch: () => new Response('not here', { status: 404 }),
 * });
 */
export function createH3Server<const Patterns extends readonly string[] = readonly string[]>(
  options: H3ServeOptions<Patterns>,
): H3Server {
  return new H3Server(validateOptions(options)).start();
}

function nativeOptions(options: ValidatedOptions): ConstructorParameters<typeof NativeServer>[0] {
  const { hostname, identity, keyLog, qlogDir, clientCertificates, statelessResetKey } = options;
  return {
    ...(hostname !== undefined && { hostname }),
    port: options.port,
    ...(identity !== undefined && { identity }),
    sni: options.sni.map(({ host, identity }) => ({ host, identity })),
    routes: nativeRoutes(options.routes),
    hasFallback: options.fetch !== null,
    streamingFallback: options.mode === 'streaming',
    quicDatagrams: options.quicDatagram !== null,
    quicDatagramFallback: options.quicDatagramFallback,
    quicAlpn: [...options.quicAlpn],
    tellConnections: Connections.wanted(options),
    tellEnds: options.onRequestEnd !== null,
    countDurations: options.metrics,
    tellSmallBuffers: options.udpBufferWarning,
    limits: options.limits,
    alwaysValidateAddresses: options.addressValidation === 'always',
    ...(statelessResetKey !== undefined && { statelessResetKey }),
    ...(keyLog !== undefined && { keyLog }),
    ...(qlogDir !== undefined && { qlogDir }),
    resumption: options.resumption,
    ...(clientCertificates !== undefined && {
      clientCertificates: clientCertificates.asked,
      ca: clientCertificates.ca,
    }),
  };
}

function nativeRoutes(routes: readonly Route[]): NativeRoute[] {
  return routes.map(({ methods, pattern, protocol, mode, h3Datagram, webtransport }) => ({
    methods: [...methods],
    pattern,
    streaming: mode === 'streaming',
    datagrams: h3Datagram !== null,
    session: webtransport !== null,
    ...(protocol !== undefined && { protocol }),
  }));
}

function closedError(): H3Error {
  return new H3Error('ERR_H3_SERVER_CLOSED', 'the server is closed: make a new one with createH3Server()');
}

/** Runs a call of the native part; what it throws becomes an error of the table. */
function native<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}
