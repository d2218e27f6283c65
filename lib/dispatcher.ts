import type { NativeExchanges, NativeHooks, NativeServer } from '../binding.cjs';
import { mayHaveBody, mayHaveTrailers } from './answer-content.js';
import { sendStream } from './body-sender.js';
import { Connections } from './connections.js';
import { DatagramOutbox, ExchangeDatagrams, eachDatagram } from './datagrams.js';
import { requestBegins, requestEnds, requestFailed, watchesRequests } from './diagnostics.js';
import { H3Error, isH3Error, usageError } from './errors.js';
import { Exchange } from './exchange.js';
import type { PackedFields } from './fields.js';
import { FileBody } from './file-body.js';
import { bodyReadable, IncomingBody } from './incoming-body.js';
import { LargeBytes } from './large-bytes.js';
import { lazyRequest } from './lazy-request.js';
import type { Logger } from './logger.js';
import { fromNative } from './native-error.js';
import { OpenExchanges } from './open-exchanges.js';
import type { ConnectionHooks } from './options.js';
import { Outbox } from './outbox.js';
import { asStream, trailersOf } from './outgoing-trailers.js';
import { ownRequest } from './own-request.js';
import type { H3Request } from './request.js';
import { type RequestEndHook, RequestEnds } from './request-end.js';
import { type Outgoing, readResponse } from './response.js';
import type { Route } from './routes.js';
import type { H3Server } from './server.js';
import { Sessions } from './sessions.js';
import { drained, untilClientEnds } from './tunnel.js';
import { UnreadDatagrams } from './unread-datagrams.js';
import { WholeBodies } from './whole-bodies.js';

/** Numbers of one request, before its parameters; the order is that of `crates/binding/src/bridge.rs`. */
const REQUEST_WORDS = 8;
/** Words of the buffer that requests come in. */
const INBOX_WORDS = 16 * 1024;
/** Stands for "no route matched". */
const NO_ROUTE = 0xffffffff;
/** Beside the number of parameters: the request came in early data, its handshake is not complete. */
const EARLY_DATA = 0x80000000;
/** Beside the number of parameters: trailers follow, and one more word tells the length of their text. */
const TRAILERS = 0x40000000;
/** Stands for a body that comes in pieces. */
const STREAMING = 0xffffffff;
/** Method numbers from here on are this plus the length of a method that follows as text. */
const METHOD_TEXT = 0x100;
const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT'] as const;

const PLAIN_400: Outgoing = {
  status: 400,
  fields: '\0content-type:text/plain;charset=utf-8',
  body: 'Bad Request',
};

const PLAIN_500: Outgoing = {
  status: 500,
  fields: '\0content-type:text/plain;charset=utf-8',
  body: 'Internal Server Error',
};

type ExchangeEvent = Parameters<NativeHooks['exchange']>[2];
type Handler = (request: H3Request, server: H3Server) => unknown;

/** Who answers what: all of it can be replaced. */
export interface RequestHandlers {
  /** By route id. */
  readonly routes: readonly Route[];
  readonly fallback: Handler | null;
  readonly error: ((error: unknown, server: H3Server) => unknown) | null;
}

/** What a dispatcher is made with. */
export interface Handlers extends RequestHandlers {
  readonly request: 'own' | 'lazy';
  /** Throws nothing. */
  readonly logger: Logger;
  readonly connections: ConnectionHooks;
  readonly onRequestEnd: RequestEndHook | null;
}

/** Takes requests from the native part, runs their handlers, and gives their answers back. */
export class Dispatcher {
  readonly outbox = new Outbox();
  readonly hooks: NativeHooks;
  readonly connections: Connections;
  readonly #datagrams = new DatagramOutbox('h3');
  readonly #sessions: Sessions;
  readonly #ends: RequestEnds | null;
  readonly #inbox = new Uint32Array(INBOX_WORDS);
  readonly #handlers: Handlers;
  /** By the number of their routing, those of which requests may still come; the native part says when one is over. */
  readonly #byRouting = new Map<number, RequestHandlers>();
  /** Those for requests that begin now. */
  #current: RequestHandlers;
  readonly #makeRequest: (exchange: Exchange) => H3Request;
  /** Exchanges that outlive their turn: they may hear of their client. */
  readonly #open = new OpenExchanges<Exchange>();
  /** Datagrams of requests that were over when their turn came. */
  readonly #late = new UnreadDatagrams('h3');
  #exchanges: NativeExchanges | null = null;
  #server: H3Server | null = null;
  #handlerErrors = 0n;

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
    const { routes, fallback, error } = handlers;
    this.#current = { routes, fallback, error };
    this.#byRouting.set(0, this.#current);
    this.#makeRequest = handlers.request === 'lazy' ? lazyRequest : ownRequest;
    this.connections = new Connections(handlers.connections, handlers.logger, this.#inbox);
    this.#ends =
      handlers.onRequestEnd === null ? null : new RequestEnds(handlers.onRequestEnd, handlers.logger);
    this.#sessions = new Sessions({
      find: (slot, generation) => this.#open.get(slot, generation),
      keep: (exchange) => this.#keep(exchange),
      close: (exchange) => this.#close(exchange),
      refuse: (exchange, status) => this.#send(exchange, { status, fields: '', body: null }),
      log: (exchange, error) => this.#log(exchange, error),
    });
    const takesSessions = routes.some(({ webtransport }) => webtransport !== null);
    // Sessions have datagrams, so that a reload may add routes that take some.
    const takesDatagrams = takesSessions || routes.some(({ h3Datagram }) => h3Datagram !== null);
    this.hooks = {
      request: (count, text, bodies, routing, shared) =>
        this.outbox.turn(() => this.#takeRequests(count, text, bodies, routing, shared)),
      routingsOver: (numbers) => this.#forget(numbers),
      exchange: (slot, generation, event, code) => this.#hear(slot, generation, event, code),
      refused: (slot, generation, code, reason) => this.#refused(slot, generation, code, reason),
      fileFailed: (slot, generation, begun, code, reason) =>
        this.#fileFailed(slot, generation, begun, fromNative({ code, message: reason })),
      inbox: this.#inbox,
      ...(this.#ends !== null && {
        requestEnded: (ended) => this.#ends?.take(ended, this.#server as H3Server),
      }),
      ...(takesSessions && {
        ...this.#sessions.hooks,
        sessionDatagrams: (count, bytes) =>
          this.outbox.turn(() => this.#sessions.takeDatagrams(count, this.#inbox, bytes)),
      }),
      ...(takesDatagrams && {
        h3Datagrams: (count, bytes) => this.outbox.turn(() => this.#takeDatagrams(count, bytes)),
      }),
      ...(Connections.wanted(handlers.connections) && {
        quicDatagrams: (count, bytes) => this.connections.take(count, bytes),
        connected: (info) => this.connections.opened(info),
        disconnected: (_slot, generation, remote, code) => this.connections.closed(generation, remote, code),
      }),
    };
  }

  /** The two sides between which this one stands. */
  connect(native: NativeServer, server: H3Server): void {
    this.#exchanges = native.exchanges;
    this.#server = server;
    this.outbox.connect(native);
    this.#datagrams.connect(this.#exchanges);
    this.#late.connect(this.#exchanges);
    this.#sessions.connect(this.#exchanges);
    this.connections.connect(native, server);
  }

  /** Has others answer the requests that the native part routes under this number. */
  reload(number: number, handlers: RequestHandlers, over: readonly number[]): void {
    this.#byRouting.set(number, handlers);
    this.#current = handlers;
    this.#forget(over);
  }

  /** No request of these routings will come any more. */
  #forget(routings: readonly number[]): void {
    for (const number of routings) this.#byRouting.delete(number);
  }

  /** How often a handler or hook failed: it threw, rejected, or gave what cannot be sent. */
  get handlerErrors(): bigint {
    return this.#handlerErrors + this.connections.errors + (this.#ends?.errors ?? 0n);
  }

  #takeRequests(
    count: number,
    text: string,
    bodies: readonly Uint8Array[],
    routing: number,
    shared: Uint8Array | null,
  ): void {
    const handlers = this.#byRouting.get(routing) ?? this.#current;
    const words = this.#inbox;
    let at = 0;
    let offset = 0;
    const whole = new WholeBodies(bodies, shared);
    const word = (index: number): number => words[at + index] as number;
    const cut = (length: number): string => {
      const start = offset;
      offset += length;
      return text.slice(start, offset);
    };
    for (let index = 0; index < count; index++) {
      const url = cut(word(4));
      const fields = cut(word(5));
      const number = word(3);
      const method = number < METHOD_TEXT ? (METHODS[number] as string) : cut(number - METHOD_TEXT);
      const routeId = word(2);
      const route = routeId === NO_ROUTE ? null : (handlers.routes[routeId] ?? null);
      const slot = word(0);
      const generation = word(1);
      const bodyNumber = word(6);
      const body = bodyNumber === 0 || bodyNumber === STREAMING ? null : whole.next(bodyNumber);
      const early = word(7) >= EARLY_DATA;
      const params = early ? word(7) - EARLY_DATA : word(7);
      const hasTrailers = params >= TRAILERS;
      const spanWords = 2 * (hasTrailers ? params - TRAILERS : params);
      at += REQUEST_WORDS;
      const spans = spanWords === 0 ? null : words.slice(at, at + spanWords);
      at += spanWords;
      let incoming: IncomingBody | PackedFields = '';
      if (bodyNumber === STREAMING) {
        incoming = new IncomingBody(this.#exchanges as NativeExchanges, slot, generation);
      } else if (hasTrailers) {
        incoming = cut(word(0));
        at += 1;
      }
      const exchange = new Exchange(
        this,
        slot,
        generation,
        method,
        url,
        fields,
        body,
        route,
        spans,
        incoming,
        early,
      );
      exchange.handlers = handlers;
      this.#handle(exchange, handlers);
    }
  }

  #handle(exchange: Exchange, handlers: RequestHandlers): void {
    let request: H3Request;
    try {
      request = this.#makeRequest(exchange);
    } catch (error) {
      // The authority or path fits HTTP but is no URL: the client's mistake.
      this.#handlers.logger.debug('trilane: a request was answered 400:', error);
      this.outbox.add(exchange, PLAIN_400);
      return;
    }
    if (watchesRequests()) requestBegins(exchange, request, this.#server as H3Server);
    if (exchange.route !== null && exchange.route.webtransport !== null) {
      this.#sessions.begin(exchange, request, exchange.route);
      return;
    }
    let result: unknown;
    try {
      const handler = exchange.route === null ? handlers.fallback : exchange.route.fetch;
      // RFC9297-2-request-supports: a way to send datagrams comes with a handler of them.
      if (exchange.route !== null && exchange.route.h3Datagram !== null) {
        this.#keep(exchange);
        const native = this.#exchanges as NativeExchanges;
        exchange.datagrams = new ExchangeDatagrams(native, this.#datagrams, exchange, request);
        if (handler === null) {
          this.#settle(exchange, exchange.tunnel === null ? untilClientEnds(request.body) : new Response());
          return;
        }
      }
      if (handler === null) throw new Error(`no handler for ${exchange.method} ${exchange.url}`);
      result = handler(request, this.#server as H3Server);
    } catch (error) {
      this.#fail(exchange, error);
      return;
    }
    this.#settle(exchange, result);
  }

  /** Answers with what a handler returned, now or when its promise settles. */
  #settle(exchange: Exchange, result: unknown): void {
    if (!isThenable(result)) {
      this.#respond(exchange, result);
      return;
    }
    this.#keep(exchange);
    result.then(
      (value) => this.#respond(exchange, value),
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  #respond(exchange: Exchange, value: unknown): void {
    exchange.outgoingTrailers = trailersOf(value);
    let outgoing: Outgoing | Promise<Outgoing>;
    try {
      outgoing = readResponse(value);
    } catch (error) {
      this.#fail(exchange, error);
      return;
    }
    if (!(outgoing instanceof Promise)) {
      this.#send(exchange, outgoing);
      return;
    }
    this.#keep(exchange);
    outgoing.then(
      (ready) => this.#send(exchange, ready),
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  #send(exchange: Exchange, given: Outgoing): void {
    exchange.answered = true;
    exchange.status = given.status;
    const hasTrailers =
      exchange.outgoingTrailers !== null &&
      !exchange.isGone &&
      mayHaveTrailers(exchange.method, given.status);
    const outgoing = hasTrailers || given.body instanceof LargeBytes ? asStream(given) : given;
    const body = this.#content(exchange, outgoing);
    if (body instanceof FileBody && !exchange.isGone) {
      // Open until the native part says what became of it.
      this.#keep(exchange);
      this.outbox.add(exchange, outgoing);
      return;
    }
    const isStream = typeof body === 'object' && body !== null && 'getReader' in body;
    if (!isStream) {
      this.#close(exchange);
      if (!exchange.isGone) this.outbox.add(exchange, outgoing);
      return;
    }
    if (exchange.isGone || !mayHaveBody(exchange.method, outgoing.status)) {
      this.#close(exchange);
      body.cancel(exchange.gone ?? undefined).catch(() => undefined);
      if (!exchange.isGone) this.outbox.add(exchange, { ...outgoing, body: null });
      return;
    }
    this.#keep(exchange);
    this.outbox.add(exchange, body === outgoing.body ? outgoing : { ...outgoing, body });
    // The head goes first: pieces of the body do not pass through the outbox.
    this.outbox.flush();
    void this.#sendStream(exchange, body);
  }

  /** A tunnel that was accepted without content of its own stays open until the client ends its side. */
  #content(exchange: Exchange, { status, body }: Outgoing): Outgoing['body'] {
    const { tunnel } = exchange;
    if (tunnel === null || exchange.isGone || status < 200 || status > 299) return body;
    exchange.tunnel = null;
    const isEmpty = body === null || body === '' || (body instanceof Uint8Array && body.byteLength === 0);
    if (isEmpty) return drained(tunnel);
    // What its client sends is read beside the handler's content; how that ends is seen by the answer's stream.
    tunnel.pipeTo(new WritableStream()).catch(() => undefined);
    return body;
  }

  async #sendStream(exchange: Exchange, body: ReadableStream<Uint8Array>): Promise<void> {
    const error = await sendStream(this.#exchanges as NativeExchanges, exchange, body);
    if (error !== null) requestFailed(exchange, error, this.#server as H3Server);
    this.#close(exchange);
    if (error !== null) this.#log(exchange, error);
  }

  /** A handler failed: the error handler may answer, else a plain 500 does. Nothing of the error reaches the client. */
  #fail(exchange: Exchange, error: unknown): void {
    exchange.declineBody();
    requestFailed(exchange, error, this.#server as H3Server);
    if (exchange.isGone) {
      // The client is gone and its handler was told by the signal: what it throws then is no news.
      this.#close(exchange);
      return;
    }
    exchange.outgoingTrailers = null;
    const { error: onError } = exchange.handlers ?? this.#current;
    if (exchange.failed || onError === null) {
      this.#log(exchange, error);
      this.#send(exchange, PLAIN_500);
      return;
    }
    exchange.failed = true;
    if (!isRemote(error)) this.#handlerErrors += 1n;
    let result: unknown;
    try {
      result = onError(error, this.#server as H3Server);
    } catch (second) {
      this.#fail(exchange, second);
      return;
    }
    if (result === undefined) {
      this.#send(exchange, PLAIN_500);
      return;
    }
    this.#settle(exchange, result);
  }

  /** Hands the datagrams of a turn to the routes of their exchanges. */
  #takeDatagrams(count: number, bytes: Uint8Array): void {
    eachDatagram(count, this.#inbox, bytes, (slot, generation, payload) => {
      const exchange = this.#open.get(slot, generation);
      const handler = exchange?.route?.h3Datagram;
      if (exchange === null || !handler || exchange.datagrams === null) {
        this.#late.add(slot, generation, 1);
        return;
      }
      try {
        const result = handler(payload, exchange.datagrams);
        if (isThenable(result)) result.then(undefined, (error: unknown) => this.#log(exchange, error));
      } catch (error) {
        this.#log(exchange, error);
      }
    });
    this.#late.flush();
    this.#datagrams.flush();
  }

  #hear(slot: number, generation: number, event: ExchangeEvent, code: number | null): void {
    // A body may be read on when its exchange is over.
    if (event === 'readable') {
      bodyReadable(this.#exchanges as NativeExchanges, generation);
      return;
    }
    const exchange = this.#open.get(slot, generation);
    // Only a client is told that its request is not wanted any more.
    if (exchange === null || event === 'stopped') return;
    if (event === 'drained') {
      exchange.drained();
      return;
    }
    if (event === 'aborted') exchange.abort(code);
    if (exchange.session === null) this.#close(exchange);
    else exchange.session.ended(null);
  }

  /** The file of an answer failed: another answer may be given if it had not begun. */
  #fileFailed(slot: number, generation: number, begun: boolean, error: Error): void {
    const exchange = this.#open.get(slot, generation);
    if (exchange === null) return;
    if (begun) {
      requestFailed(exchange, error, this.#server as H3Server);
      this.#close(exchange);
      this.#log(exchange, error);
      return;
    }
    // It is not over for those who watch it.
    const { watched } = exchange;
    exchange.watched = null;
    this.#close(exchange);
    exchange.watched = watched;
    this.#fail(exchange, error);
  }

  /** The native part found a field that may not be sent, or a length that is not that of the body. */
  #refused(
    slot: number,
    generation: number,
    code: 'ERR_H3_HEADER' | 'ERR_H3_RESPONSE_LENGTH',
    reason: string,
  ): void {
    const refused = this.#open.get(slot, generation);
    if (refused !== null) {
      refused.supersede(new H3Error('ERR_H3_INTERNAL', 'the answer was refused'));
      this.#close(refused);
    }
    const { method = '', url = '' } = refused ?? {};
    const exchange = new Exchange(this, slot, generation, method, url, '', null, null, null, '');
    this.#fail(exchange, usageError(code, reason));
  }

  #close(exchange: Exchange): void {
    if (exchange.watched !== null) requestEnds(exchange, this.#server as H3Server);
    exchange.end();
    this.#open.delete(exchange);
  }

  #keep(exchange: Exchange): void {
    if (!this.#open.has(exchange)) this.#open.add(exchange);
  }

  #log(exchange: Exchange, error: unknown): void {
    if (!isRemote(error)) this.#handlerErrors += 1n;
    const where = exchange.method === '' ? 'an answer' : `${exchange.method} ${exchange.url}`;
    if (isRemote(error)) this.#handlers.logger.debug('trilane: a client broke off:', error.message);
    else this.#handlers.logger.error(`trilane: ${where} failed:`, error);
  }
}

/** Whether a client did it: that is no error of the program, and a hostile one must not fill the log. */
function isRemote(error: unknown): error is H3Error {
  return isH3Error(error) && error.remote;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
