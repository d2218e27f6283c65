import type { NativeRequestFailure } from '../../binding.cjs';
import { sendStream } from '../body-sender.js';
import { DatagramOutbox, eachDatagram } from '../datagrams.js';
import { H3Error } from '../errors.js';
import { bodyReadable, IncomingBody, type Reading } from '../incoming-body.js';
import { NativeClient, type NativeExchanges } from '../native.js';
import { fromNative } from '../native-error.js';
import { OpenExchanges } from '../open-exchanges.js';
import { type Arrival, type ArrivalBatch, ArrivedResponse, eachArrival } from './arrival.js';
import { ClientSessions } from './client-sessions.js';
import { ConnectionFacts } from './connection-facts.js';
import type { ValidatedClientOptions } from './options.js';
import { OrderOutbox } from './order-outbox.js';
import { H3_REQUEST_CANCELLED, OutgoingExchange } from './outgoing-exchange.js';
import { resolveHost } from './resolver.js';
import type {
  ClientTransport,
  H3ClientStats,
  OpenTransport,
  RequestOrder,
  ResponseParts,
} from './transport.js';

/** Words shared with the native part, for all batches; not fewer than it asks for. */
const INBOX_WORDS = 16 * 1024;

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
  readonly #orders: OrderOutbox;
  readonly #datagrams = new DatagramOutbox('h3');
  readonly #sessions = new ClientSessions();
  readonly #open = new OpenExchanges<OutgoingExchange>();
  readonly #reading: Reading;
  readonly #destroyed = new AbortController();

  constructor(options: ValidatedClientOptions) {
    this.#options = options;
    this.#reading = reading(options.limits.bodyTimeoutMs);
    const hooks = NativeTransport.#hooks(new WeakRef(this), this.#inbox, this.#sessions);
    this.#orders = new OrderOutbox({
      handedOver: (exchange) => {
        this.#open.add(exchange);
        BUSY.add(this);
      },
      refused: (exchange, reason) => this.#refused(exchange, reason),
    });
    this.#native = native(() => new NativeClient(nativeOptions(options), hooks, this.#orders.words));
    this.#orders.connect(this.#native);
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
      response: (count: number, text: string, bodies: Uint8Array[], shared: Uint8Array) =>
        tell((transport) => transport.#takeResponses({ count, inbox, text, bodies, shared })),
      requestFailed: (slot: number, generation: number, failure: NativeRequestFailure) =>
        tell((transport) => transport.#failed(slot, generation, fromNative(failure))),
      exchange: (slot: number, generation: number, event: string, code: number | null) =>
        tell((transport) => transport.#hear(slot, generation, event, code)),
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

  send(order: RequestOrder): Promise<ResponseParts> {
    return this.#options.resolve === undefined ? this.#begin(order, null) : this.#sendResolved(order);
  }

  async #sendResolved(order: RequestOrder): Promise<ResponseParts> {
    const signals = [this.#destroyed.signal, order.signal];
    const addresses = await resolveHost(order.url.host, this.#options, signals);
    order.signal?.throwIfAborted();
    return this.#begin(order, addresses);
  }

  #begin(order: RequestOrder, addresses: readonly string[] | null): Promise<ResponseParts> {
    const { signal: destroyed } = this.#destroyed;
    if (destroyed.aborted) return Promise.reject(destroyed.reason);
    const exchange = new OutgoingExchange(order);
    BUSY.add(this);
    this.#watch(exchange);
    this.#orders.add(exchange, addresses);
    const { body, session } = order;
    const isStream = body !== null && !(body instanceof Uint8Array);
    // These act on its name.
    if (isStream || session !== undefined) this.#orders.flush();
    if (isStream) void this.#upload(exchange, body);
    return exchange.response;
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
    // It may not have a name yet.
    this.#orders.flush();
    if (!this.#open.has(exchange)) return;
    this.#exchanges.reset(exchange.slot, exchange.generation, H3_REQUEST_CANCELLED);
    exchange.fail(reason);
    this.#forget(exchange);
  }

  #takeResponses(batch: ArrivalBatch): void {
    const now = performance.now();
    eachArrival(batch, (arrival) => {
      const exchange = this.#open.get(arrival.slot, arrival.generation);
      if (exchange === null) return;
      if (arrival.status < 200) exchange.informed(arrival.status, arrival.fields);
      else this.#respond(exchange, arrival, now - exchange.startedAt);
    });
  }

  #respond(exchange: OutgoingExchange, arrival: Arrival, firstByteMs: number): void {
    const { slot, generation, order } = exchange;
    const { status, whole, connectionSlot, connectionGeneration } = arrival;
    const body = whole === null ? new IncomingBody(this.#exchanges, slot, generation, this.#reading) : null;
    const facts = this.#facts.of(connectionSlot, connectionGeneration);
    const parts = new ArrivedResponse(arrival, body, facts, firstByteMs);
    if (order.onDatagram !== undefined) this.#addDatagrams(parts, exchange);
    const { session } = order;
    if (session !== undefined && status < 300) {
      parts.connectionNumbers = () => this.#native.connection(connectionSlot, connectionGeneration);
      parts.abandon = (code) => this.#exchanges.reset(slot, generation, code);
      this.#sessions.begin(session.session, exchange);
    }
    exchange.answered(parts, body);
    if (body === null) this.#leave(exchange);
    else body.onOver = () => this.#ended(exchange);
  }

  #addDatagrams(parts: ArrivedResponse, exchange: OutgoingExchange): void {
    const { slot, generation } = exchange;
    const most = (): number => this.#exchanges.exchangeStream(slot, generation)?.[1] ?? 0;
    parts.onLost = (listener) => exchange.onGone(listener);
    parts.maxDatagramSize = most;
    parts.sendDatagram = (data) => {
      if (data.byteLength > most()) return false;
      this.#datagrams.add(slot, generation, data);
      return true;
    };
  }

  /** The response was read, or given up. A tunnel whose request has no content of its own ends with it. */
  #ended(exchange: OutgoingExchange): void {
    const { protocol, body } = exchange.order;
    if (protocol !== undefined && body === null) this.#exchanges.finish(exchange.slot, exchange.generation);
    this.#leave(exchange);
  }

  #takeDatagrams(count: number, bytes: Uint8Array): void {
    eachDatagram(count, this.#inbox, bytes, (slot, generation, payload) => {
      this.#open.get(slot, generation)?.order.onDatagram?.(payload);
    });
    this.#datagrams.flush();
  }

  #hear(slot: number, generation: number, event: string, code: number | null): void {
    if (event === 'readable') {
      bodyReadable(this.#exchanges, generation);
      return;
    }
    const exchange = this.#open.get(slot, generation);
    if (exchange === null) return;
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
      else this.#failed(slot, generation, lost);
    }
  }

  #failed(slot: number, generation: number, reason: Error): void {
    const exchange = this.#open.get(slot, generation);
    if (exchange === null) return;
    exchange.fail(reason);
    this.#forget(exchange);
  }

  /** It was not sent. */
  #refused(exchange: OutgoingExchange, reason: Error): void {
    exchange.fail(reason);
    exchange.onOver?.();
    if (this.#open.size === 0) BUSY.delete(this);
  }

  /** One part of the exchange is done: its response, or its upload. */
  #leave(exchange: OutgoingExchange): void {
    exchange.open -= 1;
    if (exchange.open === 0) this.#forget(exchange);
  }

  #forget(exchange: OutgoingExchange): void {
    if (!this.#open.delete(exchange)) return;
    if (this.#open.size === 0) BUSY.delete(this);
    exchange.onOver?.();
  }

  close(): Promise<void> {
    this.#orders.flush();
    return this.#native.close();
  }

  destroy(reason: H3Error): Promise<void> {
    this.#destroyed.abort(reason);
    this.#orders.flush();
    for (const exchange of this.#open.all()) this.#giveUp(exchange, reason);
    this.#sessions.destroy();
    return this.#native.destroy();
  }
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

/** Runs a call of the native part; what it throws becomes an error of the table. */
function native<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}
