import { isIP } from 'node:net';
import type { NativeRequestFailure } from '../../binding.cjs';
import { NO_BYTES } from '../body.js';
import { sendStream } from '../body-sender.js';
import { DatagramOutbox, eachDatagram } from '../datagrams.js';
import { H3Error } from '../errors.js';
import { eachField, type PackedFields } from '../fields.js';
import { unpackHeaders } from '../headers.js';
import { bodyReadable, IncomingBody, type Reading } from '../incoming-body.js';
import { NativeClient, type NativeExchanges } from '../native.js';
import { fromNative } from '../native-error.js';
import { ClientSessions } from './client-sessions.js';
import { ConnectionFacts } from './connection-facts.js';
import type { ValidatedClientOptions } from './options.js';
import { H3_REQUEST_CANCELLED, OutgoingExchange } from './outgoing-exchange.js';
import type {
  ClientTransport,
  FieldPair,
  H3ClientStats,
  OpenTransport,
  RequestOrder,
  ResponseParts,
} from './transport.js';

/** Words shared with the native part, for all batches; not fewer than it asks for. */
const INBOX_WORDS = 16 * 1024;
/** Numbers of one response; the order is that of `crates/binding/src/responses.rs`. */
const RESPONSE_WORDS = 9;
/** The body comes in pieces. */
const STREAMING = 0xffffffff;
const REUSED = 1;
const EARLY_DATA = 2;

/** Those with requests under way: what waits for these is held by nothing else. A client that is idle can be collected. */
const BUSY = new Set<NativeTransport>();

/** The connections of the native client. */
export const openNativeTransport: OpenTransport = (options) => new NativeTransport(options);

class NativeTransport implements ClientTransport {
  readonly #options: ValidatedClientOptions;
  readonly #native: NativeClient;
  readonly #exchanges: NativeExchanges;
  readonly #facts: ConnectionFacts;
  readonly #inbox = new Uint32Array(INBOX_WORDS);
  readonly #name = new Uint32Array(2);
  readonly #datagrams = new DatagramOutbox('h3');
  readonly #sessions = new ClientSessions();
  readonly #open = new Map<number, OutgoingExchange>();
  readonly #reading: Reading;
  #destroyed: H3Error | null = null;

  constructor(options: ValidatedClientOptions) {
    this.#options = options;
    this.#reading = reading(options.limits.bodyTimeoutMs);
    const hooks = NativeTransport.#hooks(new WeakRef(this), this.#inbox, this.#sessions);
    this.#native = native(() => new NativeClient(nativeOptions(options), hooks, this.#name));
    this.#exchanges = this.#native.exchanges;
    this.#facts = new ConnectionFacts(this.#native);
    this.#datagrams.connect(this.#exchanges);
    this.#sessions.connect(this.#exchanges);
  }

  /**
   * The native client holds these as long as it lives, and it lives as long as the transport: they must not hold that. So
   * they are not made where `this` is.
   */
  static #hooks(weak: WeakRef<NativeTransport>, inbox: Uint32Array, sessions: ClientSessions) {
    const tell = (how: (transport: NativeTransport) => void): void => {
      const transport = weak.deref();
      if (transport !== undefined) how(transport);
    };
    return {
      inbox,
      response: (count: number, text: string, bodies: Uint8Array[]) =>
        tell((transport) => transport.#takeResponses(count, text, bodies)),
      requestFailed: (_slot: number, generation: number, failure: NativeRequestFailure) =>
        tell((transport) => transport.#failed(generation, fromNative(failure))),
      exchange: (_slot: number, generation: number, event: string, code: number | null) =>
        tell((transport) => transport.#hear(generation, event, code)),
      h3Datagrams: (count: number, bytes: Uint8Array) =>
        tell((transport) => transport.#takeDatagrams(count, bytes)),
      sessionDatagrams: (count: number, bytes: Uint8Array) => sessions.takeDatagrams(count, inbox, bytes),
      ...sessions.hooks,
    };
  }

  get stats(): H3ClientStats {
    const { quicDatagrams: _q, h3Datagrams: _h, webtransportDatagrams: _w, ...stats } = this.#native.stats;
    return stats;
  }

  async send(order: RequestOrder): Promise<ResponseParts> {
    const { hostname } = order.url;
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    const { resolve } = this.#options;
    let addresses: string[] | undefined;
    if (resolve !== undefined && isIP(host) === 0) {
      const found = await resolve(host);
      addresses = typeof found === 'string' ? [found] : [...found];
      order.signal?.throwIfAborted();
    }
    if (this.#destroyed !== null) throw this.#destroyed;
    return this.#begin(order, host, addresses).response;
  }

  #begin(order: RequestOrder, host: string, addresses: string[] | undefined): OutgoingExchange {
    const { url, body } = order;
    const isStream = body !== null && !(body instanceof Uint8Array);
    const [fields, authority] = packRequestFields(order.fields);
    native(() =>
      this.#native.request(
        {
          target: { host, port: url.port === '' ? 443 : Number(url.port), ...(addresses && { addresses }) },
          method: order.method,
          ...(authority !== null && { authority }),
          path: `${url.pathname}${url.search}`,
          ...(order.protocol !== undefined && { protocol: order.protocol }),
          tunnel: tunnelOf(order),
          fields,
          streaming: isStream || (order.protocol !== undefined && body === null),
          takesDatagrams: order.onDatagram !== undefined,
          mayBeEarly: order.earlyData === true,
          dedicated: order.session?.dedicated ?? false,
        },
        body instanceof Uint8Array ? body : null,
      ),
    );
    const exchange = new OutgoingExchange(order, this.#name[0] as number, this.#name[1] as number);
    this.#open.set(exchange.generation, exchange);
    BUSY.add(this);
    this.#watch(exchange);
    if (isStream) void this.#upload(exchange, body);
    return exchange;
  }

  /** Gives the request up when its signal aborts. */
  #watch(exchange: OutgoingExchange): void {
    const { signal } = exchange.order;
    if (signal === null) return;
    const abort = (): void => this.#giveUp(exchange, signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    exchange.onOver = () => signal.removeEventListener('abort', abort);
  }

  async #upload(exchange: OutgoingExchange, body: ReadableStream<Uint8Array>): Promise<void> {
    exchange.open += 1;
    const error = await sendStream(this.#exchanges, exchange, body);
    if (error !== null) exchange.fail(error);
    this.#leave(exchange);
  }

  #giveUp(exchange: OutgoingExchange, reason: unknown): void {
    if (!this.#open.has(exchange.generation)) return;
    this.#exchanges.reset(exchange.slot, exchange.generation, H3_REQUEST_CANCELLED);
    exchange.fail(reason);
    this.#forget(exchange);
  }

  #takeResponses(count: number, text: string, bodies: Uint8Array[]): void {
    const words = this.#inbox.slice(0, count * RESPONSE_WORDS);
    let offset = 0;
    const cut = (length: number): string => {
      const start = offset;
      offset += length;
      return text.slice(start, offset);
    };
    for (let at = 0; at < words.length; at += RESPONSE_WORDS) {
      const word = (index: number): number => words[at + index] as number;
      const exchange = this.#open.get(word(1));
      const status = word(2);
      const fields = cut(word(3));
      const trailers = cut(word(5));
      if (exchange === undefined) continue;
      if (status < 200) {
        exchange.informed(status, fields);
        continue;
      }
      const number = word(4);
      const whole = number === STREAMING ? null : (bodies[number - 1] ?? NO_BYTES);
      this.#respond(exchange, status, fields, whole, trailers, word(6), word(7), word(8));
    }
  }

  #respond(
    exchange: OutgoingExchange,
    status: number,
    fields: PackedFields,
    whole: Uint8Array | null,
    trailers: PackedFields,
    connectionSlot: number,
    connectionGeneration: number,
    flags: number,
  ): void {
    const { slot, generation, startedAt, order } = exchange;
    const exchanges = this.#exchanges;
    const body = whole === null ? new IncomingBody(exchanges, slot, generation, this.#reading) : null;
    const facts = this.#facts.of(connectionSlot, connectionGeneration);
    const reused = (flags & REUSED) !== 0;
    const firstByteMs = performance.now() - startedAt;
    const datagrams = this.#datagrams;
    const parts: ResponseParts = {
      status,
      fields: pairsOf(fields),
      body: body === null ? whole : body.stream,
      get trailers() {
        return body === null ? Promise.resolve(unpackHeaders(trailers)) : body.trailers.promise;
      },
      connection: {
        remoteAddress: facts.remoteAddress,
        alpn: facts.alpn,
        connectionId: facts.connectionId,
        reused,
        resumed: facts.resumed,
        earlyData: (flags & EARLY_DATA) !== 0,
        handshakeMs: reused ? 0 : facts.handshakeMs,
        firstByteMs,
      },
      ...(order.onDatagram !== undefined && {
        onLost: (listener: (reason: Error) => void) => exchange.onGone(listener),
        sendDatagram(data: Uint8Array): boolean {
          const most = exchanges.exchangeStream(slot, generation)?.[1] ?? 0;
          if (data.byteLength > most) return false;
          datagrams.add(slot, generation, data);
          return true;
        },
        maxDatagramSize() {
          return exchanges.exchangeStream(slot, generation)?.[1] ?? 0;
        },
      }),
    };
    const { session } = order;
    if (session !== undefined && status < 300) {
      parts.connectionNumbers = () => this.#native.connection(connectionSlot, connectionGeneration);
      parts.abandon = (code) => exchanges.reset(slot, generation, code);
      this.#sessions.begin(session.session, exchange);
    }
    exchange.answered(parts, body);
    if (body === null) this.#leave(exchange);
    else body.onOver = () => this.#ended(exchange);
  }

  /** The response was read, or given up. A tunnel whose request has no content of its own ends with it. */
  #ended(exchange: OutgoingExchange): void {
    const { protocol, body } = exchange.order;
    if (protocol !== undefined && body === null) this.#exchanges.finish(exchange.slot, exchange.generation);
    this.#leave(exchange);
  }

  #takeDatagrams(count: number, bytes: Uint8Array): void {
    eachDatagram(count, this.#inbox, bytes, (_slot, generation, payload) => {
      this.#open.get(generation)?.order.onDatagram?.(payload);
    });
    this.#datagrams.flush();
  }

  #hear(generation: number, event: string, code: number | null): void {
    if (event === 'readable') {
      bodyReadable(this.#exchanges, generation);
      return;
    }
    const exchange = this.#open.get(generation);
    if (exchange === undefined) return;
    if (event === 'drained') {
      exchange.drained();
    } else if (event === 'stopped') {
      const message = 'the server reads no more of the request';
      exchange.stop(
        new H3Error('ERR_H3_STREAM_RESET', message, {
          remote: true,
          ...(code !== null && { wireCode: code }),
        }),
      );
    } else if (event === 'aborted') {
      const message = 'the connection ended before the request did';
      const lost = new H3Error('ERR_H3_CLIENT_CONNECTION_LOST', message, {
        remote: true,
        ...(code !== null && { wireCode: code }),
      });
      // Who reads a response finds out by itself, and more exactly.
      if (exchange.isAnswered) exchange.stop(lost);
      else this.#failed(generation, lost);
    }
  }

  #failed(generation: number, reason: Error): void {
    const exchange = this.#open.get(generation);
    if (exchange === undefined) return;
    exchange.fail(reason);
    this.#forget(exchange);
  }

  /** One part of the exchange is done: its response, or its upload. */
  #leave(exchange: OutgoingExchange): void {
    exchange.open -= 1;
    if (exchange.open === 0) this.#forget(exchange);
  }

  #forget(exchange: OutgoingExchange): void {
    if (!this.#open.delete(exchange.generation)) return;
    if (this.#open.size === 0) BUSY.delete(this);
    exchange.onOver?.();
  }

  close(): Promise<void> {
    return this.#native.close();
  }

  destroy(reason: H3Error): void {
    this.#destroyed ??= reason;
    for (const exchange of [...this.#open.values()]) this.#giveUp(exchange, reason);
    this.#sessions.destroy();
    this.#native.destroy();
  }
}

/** What an accepted CONNECT carries. RFC 9297 §3.1: where datagrams are wanted of a tunnel, its content is capsules. */
function tunnelOf({ session, protocol, onDatagram }: RequestOrder): 'bytes' | 'capsules' | 'session' {
  if (session !== undefined) return 'session';
  return protocol !== undefined && onDatagram !== undefined ? 'capsules' : 'bytes';
}

export function nativeOptions(
  options: ValidatedClientOptions,
): ConstructorParameters<typeof NativeClient>[0] {
  const { identity, ca, localAddress, limits, keyLog, qlogDir } = options;
  return {
    certificateHashes: [...options.serverCertificateHashes],
    insecure: options.insecure,
    alpn: ['h3'],
    earlyData: options.earlyData === 'safe-methods',
    connectTimeoutMs: limits.connectTimeoutMs,
    headersTimeoutMs: limits.headersTimeoutMs,
    idleTimeoutMs: limits.idleTimeoutMs,
    keepAliveMs: limits.keepAliveMs,
    maxConnectionsPerOrigin: limits.maxConnectionsPerOrigin,
    maxResponseHeaderBytes: limits.maxResponseHeaderBytes,
    ...(identity !== undefined && { identity }),
    ...(ca !== undefined && { ca }),
    ...(localAddress !== undefined && { localAddress }),
    ...(keyLog !== undefined && { keyLog }),
    ...(qlogDir !== undefined && { qlogDir }),
  };
}

/** How bodies of responses are read. */
function reading(bodyTimeoutMs: number): Reading {
  const failureCode = (code: string): string =>
    code === 'ERR_H3_CONNECTION_CLOSED' ? 'ERR_H3_CLIENT_CONNECTION_LOST' : code;
  if (bodyTimeoutMs === 0) return { failureCode };
  const message = `nothing more of the response body came within ${bodyTimeoutMs} ms`;
  const error = (): H3Error => new H3Error('ERR_H3_CLIENT_BODY_TIMEOUT', message);
  return { failureCode, patience: { ms: bodyTimeoutMs, error } };
}

/** The fields in one string, and what `host` says, which goes as `:authority` (RFC 9114 §4.3.1). */
function packRequestFields(fields: readonly FieldPair[]): [PackedFields, string | null] {
  let packed = '';
  let authority: string | null = null;
  for (const [name, value] of fields) {
    if (name === 'host') authority = value;
    else packed += packed === '' ? `${name}\0${value}` : `\0${name}\0${value}`;
  }
  return [packed, authority];
}

function pairsOf(packed: PackedFields): FieldPair[] {
  const pairs: FieldPair[] = [];
  eachField(packed, (name, value) => pairs.push([name, value]));
  return pairs;
}

/** Runs a call of the native part; what it throws becomes an error of the table. */
function native<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}
