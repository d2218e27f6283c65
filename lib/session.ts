import type { NativeExchanges } from '../binding.cjs';
import { checkDatagram, type DatagramOutbox } from './datagrams.js';
import { usageError } from './errors.js';
import type { Exchange } from './exchange.js';
import { IncomingQueue } from './incoming-queue.js';
import { availableProtocols, protocolField } from './protocol-list.js';
import type { H3Request } from './request.js';
import { SessionStream, type WebTransportBidirectionalStream } from './session-streams.js';
import type {
  WebTransportCloseInfo,
  WebTransportDatagrams,
  WTAcceptOptions,
  WTContext,
} from './webtransport.js';
import { sessionOver, type WebTransportError } from './webtransport-error.js';

/** Datagrams that wait to be read, before the oldest are dropped. */
const INCOMING_HIGH_WATER_MARK = 1024;

/** What a session needs of its server. */
export interface SessionHost {
  readonly native: NativeExchanges;
  readonly datagrams: DatagramOutbox;
  /** By generation: their events come from the native part. */
  readonly streams: Map<number, SessionStream>;
  /** Sends an answer that refuses the session. */
  refuse(exchange: Exchange, status: number): void;
  /** The session is over. */
  over(exchange: Exchange): void;
}

type State = 'waiting' | 'open' | 'refused' | 'over';

/** A session as its handler sees it. */
export class Session implements WTContext {
  readonly request: H3Request;
  readonly sessionId: bigint;
  readonly protocols: readonly string[];
  readonly ready: Promise<void>;
  readonly closed: Promise<WebTransportCloseInfo>;
  readonly draining: Promise<void>;
  readonly #host: SessionHost;
  readonly #exchange: Exchange;
  readonly #readyPromise = new Settled<void>();
  readonly #closedPromise = new Settled<WebTransportCloseInfo>();
  readonly #drainingPromise = new Settled<void>();
  readonly #bidirectional = new IncomingQueue<WebTransportBidirectionalStream>(Number.POSITIVE_INFINITY);
  readonly #unidirectional = new IncomingQueue<ReadableStream<Uint8Array>>(Number.POSITIVE_INFINITY);
  readonly #incoming = new IncomingQueue<Uint8Array>(INCOMING_HIGH_WATER_MARK);
  #datagrams: WebTransportDatagrams | null = null;
  #largest: number;
  #state: State = 'waiting';

  constructor(host: SessionHost, exchange: Exchange, request: H3Request) {
    this.request = request;
    this.#host = host;
    this.#exchange = exchange;
    const [sessionId, largest] = host.native.exchangeStream(exchange.slot, exchange.generation) ?? [0n, 0];
    this.sessionId = sessionId;
    this.#largest = largest;
    this.protocols = availableProtocols(request.headers.get('wt-available-protocols'));
    this.ready = this.#readyPromise.promise;
    this.closed = this.#closedPromise.promise;
    this.draining = this.#drainingPromise.promise;
  }

  get params(): Record<string, string> {
    return this.request.params;
  }

  /** Whether its handler has neither accepted nor refused it. */
  get waiting(): boolean {
    return this.#state === 'waiting';
  }

  get incomingBidirectionalStreams(): ReadableStream<WebTransportBidirectionalStream> {
    this.#use();
    return this.#bidirectional.readable;
  }

  get incomingUnidirectionalStreams(): ReadableStream<ReadableStream<Uint8Array>> {
    this.#use();
    return this.#unidirectional.readable;
  }

  get datagrams(): WebTransportDatagrams {
    this.#use();
    this.#datagrams ??= this.#makeDatagrams();
    return this.#datagrams;
  }

  accept({ protocol, headers }: WTAcceptOptions = {}): void {
    if (this.#state !== 'waiting') throw decided('accept', this.#state);
    const fields = [...new Headers(headers)];
    if (protocol !== undefined) fields.push(['wt-protocol', protocolField(protocol, this.protocols)]);
    if (this.request.headers.get('sec-webtransport-http3-draft02') !== null) {
      fields.push(['sec-webtransport-http3-draft', 'draft02']);
    }
    this.#state = 'open';
    this.#exchange.answered = true;
    const { slot, generation } = this.#exchange;
    this.#host.native.acceptSession(slot, generation, fields.flat().join('\0'));
    this.#readyPromise.resolve();
  }

  reject(status: number): void {
    if (this.#state !== 'waiting') throw decided('reject', this.#state);
    if (!Number.isInteger(status) || status < 300 || status > 599) {
      throw usageError('ERR_H3_RESPONSE_STATUS', `reject(${status}): expected a status from 300 to 599`);
    }
    this.#state = 'refused';
    this.#host.refuse(this.#exchange, status);
    const error = sessionOver(`the session was refused with status ${status}`);
    this.#readyPromise.reject(error);
    this.#closedPromise.reject(error);
  }

  sendDatagram(data: Uint8Array): boolean {
    checkDatagram(data);
    this.#use();
    if (this.#state !== 'open') return false;
    if (data.byteLength > this.#largest && data.byteLength > this.#maxDatagramSize()) return false;
    this.#host.datagrams.add(this.#exchange.slot, this.#exchange.generation, data);
    return true;
  }

  async createBidirectionalStream(): Promise<WebTransportBidirectionalStream> {
    const { readable, writable } = await this.#open({ read: true, write: true });
    return { readable, writable } as WebTransportBidirectionalStream;
  }

  async createUnidirectionalStream(): Promise<WritableStream<Uint8Array>> {
    const { writable } = await this.#open({ read: false, write: true });
    return writable as WritableStream<Uint8Array>;
  }

  close(codeOrInfo: number | { readonly closeCode?: number; readonly reason?: string } = 0, text = ''): void {
    const info = typeof codeOrInfo === 'number' ? { closeCode: codeOrInfo, reason: text } : codeOrInfo;
    const { closeCode = 0, reason = '' } = info;
    this.#use();
    if (this.#state !== 'open') return;
    const { slot, generation } = this.#exchange;
    this.#host.datagrams.flush();
    this.#host.native.closeSession(slot, generation, closeCode >>> 0, String(reason));
    this.#over({ closeCode: closeCode >>> 0, reason: String(reason) });
  }

  drain(): void {
    this.#use();
    if (this.#state === 'open') {
      this.#host.native.drainSession(this.#exchange.slot, this.#exchange.generation);
    }
  }

  /** The client opened a stream. */
  arrived(slot: number, generation: number, bidirectional: boolean): void {
    const stream = this.#add([slot, generation], { read: true, write: bidirectional });
    if (bidirectional) this.#bidirectional.add(stream as WebTransportBidirectionalStream);
    else this.#unidirectional.add(stream.readable as ReadableStream<Uint8Array>);
  }

  /** The client sent a datagram. Returns how many had to go. */
  received(payload: Uint8Array): number {
    return this.#incoming.add(payload);
  }

  /** The client asks for the session to be wound up. */
  drained(): void {
    this.#drainingPromise.resolve();
  }

  /** The client ended it; null: it broke off. */
  ended(info: WebTransportCloseInfo | null): void {
    this.#over(info);
  }

  /** Its handler failed: the client sees the session break off. */
  fail(): void {
    this.#over(null);
  }

  /** Accepted by its first use. */
  #use(): void {
    if (this.#state === 'waiting') this.accept();
  }

  async #open(halves: { readonly read: boolean; readonly write: boolean }): Promise<SessionStream> {
    this.#use();
    if (this.#state !== 'open') throw sessionOver();
    const { slot, generation } = this.#exchange;
    const name = await this.#host.native.openStream(slot, generation, halves.read);
    if (name === null) throw sessionOver();
    return this.#add(name, halves);
  }

  #add(
    name: readonly [slot: number, generation: number],
    halves: { readonly read: boolean; readonly write: boolean },
  ): SessionStream {
    const { native, streams } = this.#host;
    const stream = new SessionStream(native, name, halves, (done) => streams.delete(done.generation));
    streams.set(stream.generation, stream);
    return stream;
  }

  #makeDatagrams(): WebTransportDatagrams {
    const largest = (): number => this.#maxDatagramSize();
    const writable = new WritableStream<Uint8Array>({
      write: (chunk) => {
        checkDatagram(chunk);
        if (this.#state !== 'open') throw sessionOver();
        this.sendDatagram(chunk);
      },
    });
    return {
      readable: this.#incoming.readable,
      writable,
      incomingHighWaterMark: INCOMING_HIGH_WATER_MARK,
      get maxDatagramSize() {
        return largest();
      },
    };
  }

  #maxDatagramSize(): number {
    if (this.#state === 'over' || this.#state === 'refused') return 0;
    const { slot, generation } = this.#exchange;
    this.#largest = this.#host.native.exchangeStream(slot, generation)?.[1] ?? 0;
    return this.#largest;
  }

  /** Closed by either side, or broken off. */
  #over(info: WebTransportCloseInfo | null): void {
    if (this.#state === 'over' || this.#state === 'refused') return;
    this.#state = 'over';
    this.#host.over(this.#exchange);
    if (info === null) {
      const error: WebTransportError = sessionOver('the session broke off');
      this.#readyPromise.reject(error);
      this.#closedPromise.reject(error);
      for (const queue of [this.#bidirectional, this.#unidirectional, this.#incoming]) queue.fail(error);
      return;
    }
    this.#readyPromise.reject(sessionOver());
    this.#closedPromise.resolve(info);
    for (const queue of [this.#bidirectional, this.#unidirectional, this.#incoming]) queue.close();
  }
}

/** A promise that is settled from outside, once; nobody has to look at its rejection. */
class Settled<Value> {
  readonly promise: Promise<Value>;
  resolve!: (value: Value) => void;
  reject!: (reason: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => undefined);
  }
}

function decided(call: string, state: State): Error {
  const already = state === 'refused' ? 'it was refused' : 'it was accepted, by accept() or by its first use';
  return usageError('ERR_H3_SESSION_DECIDED', `${call}() on a session: ${already}`);
}
