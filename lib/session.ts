import { checkDatagram } from './datagrams.js';
import { usageError } from './errors.js';
import type { Exchange } from './exchange.js';
import { exporterInput } from './exporter.js';
import { addField } from './fields.js';
import { packReal } from './headers.js';
import { OpenSession, type SessionCarrier } from './open-session.js';
import { availableProtocols, protocolField } from './protocol-list.js';
import type { H3Request } from './request.js';
import {
  sendGroupOf,
  sendOrderOf,
  type WebTransportSendGroup,
  type WebTransportSendOptions,
} from './send-group.js';
import type { WebTransportDatagrams } from './session-datagrams.js';
import type { SessionListener } from './session-hooks.js';
import type { Halves, SessionStream, WebTransportBidirectionalStream } from './session-streams.js';
import { Settled } from './settled.js';
import type { WebTransportCloseInfo, WTAcceptOptions, WTContext } from './webtransport.js';
import { sessionOver } from './webtransport-error.js';
import type { WebTransportReceiveStream, WebTransportSendStream } from './webtransport-streams.js';

/** What a session needs of its server. */
export interface SessionHost extends SessionCarrier {
  /** Sends an answer that refuses the session. */
  refuse(exchange: Exchange, status: number): void;
  /** The session is over. */
  over(exchange: Exchange): void;
}

type State = 'waiting' | 'accepted' | 'refused' | 'over';

/** A session as its handler sees it. */
export class Session implements WTContext, SessionListener {
  readonly request: H3Request;
  readonly sessionId: bigint;
  readonly protocols: readonly string[];
  readonly ready: Promise<void>;
  readonly closed: Promise<WebTransportCloseInfo>;
  readonly draining: Promise<void>;
  readonly #host: SessionHost;
  readonly #exchange: Exchange;
  readonly #readyPromise = new Settled<void>();
  readonly #session: OpenSession;
  #state: State = 'waiting';

  constructor(host: SessionHost, exchange: Exchange, request: H3Request) {
    this.request = request;
    this.#host = host;
    this.#exchange = exchange;
    this.#session = new OpenSession();
    this.#session.onOver(() => this.#over());
    const [sessionId] = host.native.exchangeStream(exchange.slot, exchange.generation) ?? [0n];
    this.sessionId = sessionId;
    this.protocols = availableProtocols(request.headers.get('wt-available-protocols'));
    this.ready = this.#readyPromise.promise;
    this.closed = this.#session.closed;
    this.draining = this.#session.draining;
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
    return this.#session.incomingBidirectional;
  }

  get incomingUnidirectionalStreams(): ReadableStream<WebTransportReceiveStream> {
    this.#use();
    return this.#session.incomingUnidirectional;
  }

  get datagrams(): WebTransportDatagrams {
    this.#use();
    return this.#session.datagrams;
  }

  accept({ protocol, headers }: WTAcceptOptions = {}): void {
    if (this.#state !== 'waiting') throw decided('accept', this.#state);
    let fields = packReal(new Headers(headers));
    if (protocol !== undefined) {
      fields = addField(fields, 'wt-protocol', protocolField(protocol, this.protocols));
    }
    if (this.request.headers.get('sec-webtransport-http3-draft02') !== null) {
      fields = addField(fields, 'sec-webtransport-http3-draft', 'draft02');
    }
    this.#state = 'accepted';
    this.#exchange.answered = true;
    const { slot, generation } = this.#exchange;
    this.#host.native.acceptSession(slot, generation, fields);
    this.#session.open(this.#host, this.#exchange);
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
    this.#session.end(null, error);
  }

  sendDatagram(data: Uint8Array): boolean {
    checkDatagram(data);
    this.#use();
    return this.#session.sendDatagram(data);
  }

  createSendGroup(): WebTransportSendGroup {
    return this.#session.createSendGroup();
  }

  async createBidirectionalStream(
    options?: WebTransportSendOptions,
  ): Promise<WebTransportBidirectionalStream> {
    const { readable, writable } = await this.#open({ read: true, write: true }, options);
    return { readable, writable } as WebTransportBidirectionalStream;
  }

  async createUnidirectionalStream(options?: WebTransportSendOptions): Promise<WebTransportSendStream> {
    const { writable } = await this.#open({ read: false, write: true }, options);
    return writable as WebTransportSendStream;
  }

  async exportKeyingMaterial(
    label: ArrayBuffer | ArrayBufferView,
    context: ArrayBuffer | ArrayBufferView,
    outputLength: number,
  ): Promise<Uint8Array> {
    const input = exporterInput(label, context, outputLength);
    this.#use();
    return this.#session.exportKeyingMaterial(input);
  }

  close(codeOrInfo: number | { readonly closeCode?: number; readonly reason?: string } = 0, text = ''): void {
    const info = typeof codeOrInfo === 'number' ? { closeCode: codeOrInfo, reason: text } : codeOrInfo;
    this.#use();
    this.#session.close(info, sessionOver());
  }

  drain(): void {
    this.#use();
    this.#session.drain();
  }

  /** The client opened a stream. */
  arrived(slot: number, generation: number, bidirectional: boolean): void {
    this.#session.arrived(slot, generation, bidirectional);
  }

  /** The client sent a datagram. Returns how many had to go. */
  received(payload: Uint8Array): number {
    return this.#session.received(payload);
  }

  /** The client asks for the session to be wound up. */
  drained(): void {
    this.#session.drained();
  }

  /** The client ended it; null: it broke off. */
  ended(info: WebTransportCloseInfo | null): void {
    this.#session.ended(info);
  }

  /** Its handler failed: the client sees the session break off. */
  fail(): void {
    this.ended(null);
  }

  /** Accepted by its first use. */
  #use(): void {
    if (this.#state === 'waiting') this.accept();
  }

  async #open(halves: Halves, options: WebTransportSendOptions | undefined): Promise<SessionStream> {
    const sendGroup = sendGroupOf(options?.sendGroup);
    const sendOrder = sendOrderOf(options?.sendOrder ?? 0);
    if (!this.#session.groups.has(sendGroup)) throw new TypeError('sendGroup belongs to another session');
    this.#use();
    const stream = await this.#session.openStream(halves, { wait: true, sendGroup, sendOrder });
    // One that waits gets a stream, or a reason.
    if (stream === null) throw sessionOver();
    return stream;
  }

  /** Refused, closed by either side, or broken off. */
  #over(): void {
    if (this.#state === 'refused') return;
    this.#state = 'over';
    this.#readyPromise.reject(this.#session.gone);
    this.#host.over(this.#exchange);
  }
}

function decided(call: string, state: State): Error {
  const already = state === 'refused' ? 'it was refused' : 'it was accepted, by accept() or by its first use';
  return usageError('ERR_H3_SESSION_DECIDED', `${call}() on a session: ${already}`);
}
