import type { NativeExchanges } from '../binding.cjs';
import type { DatagramOutbox } from './datagrams.js';
import type { ExporterInput } from './exporter.js';
import { IncomingQueue } from './incoming-queue.js';
import { SendGroups, type WebTransportSendGroup } from './send-group.js';
import { type DatagramCarrier, SessionDatagrams } from './session-datagrams.js';
import type { SessionListener } from './session-hooks.js';
import { type Halves, SessionStream, type WebTransportBidirectionalStream } from './session-streams.js';
import { Settled } from './settled.js';
import type { WebTransportCloseInfo } from './webtransport.js';
import { sessionOver } from './webtransport-error.js';
import type { WebTransportReceiveStream } from './webtransport-streams.js';

/** The most bytes of UTF-8 that the reason of a close has (draft-ietf-webtrans-http3-16 §6). */
const MOST_REASON_BYTES = 1024;
/** An age of datagrams that says: as the limits say. */
const NO_AGE = 0;
/** The longest age of a datagram, in milliseconds. */
const MOST_AGE_MS = 2 ** 31;
/** How many streams there can be, QUIC bounds. */
const UNBOUNDED = { most: Number.POSITIVE_INFINITY };

/** What carries the sessions of a server or of a client. */
export interface SessionCarrier {
  readonly native: NativeExchanges;
  readonly datagrams: DatagramOutbox;
  /** By generation: their events come from the native part. */
  readonly streams: Map<number, SessionStream>;
}

/** Names the exchange that a session is. */
export interface SessionName {
  readonly slot: number;
  readonly generation: number;
}

/** Of {@link OpenSession.openStream}. */
export interface OpenStreamOptions {
  /** Whether to wait until the peer allows one more. */
  readonly wait: boolean;
  readonly sendGroup: WebTransportSendGroup | null;
  readonly sendOrder: number;
}

/**
 * What both sides of a session have: its streams, its datagrams and its end. It exists before it is open: nothing can be sent
 * then, and what is asked of its streams waits.
 */
export class OpenSession implements DatagramCarrier, SessionListener {
  readonly datagrams: SessionDatagrams;
  readonly groups = new SendGroups();
  readonly #closed = new Settled<WebTransportCloseInfo>();
  readonly #draining = new Settled<void>();
  readonly #bidirectional = new IncomingQueue<WebTransportBidirectionalStream>(UNBOUNDED);
  readonly #unidirectional = new IncomingQueue<WebTransportReceiveStream>(UNBOUNDED);
  readonly #streams = new Set<SessionStream>();
  #carrier: SessionCarrier | null = null;
  #name: SessionName = { slot: 0, generation: 0 };
  #largest = 0;
  #expiredOutgoing = 0;
  #gone: Error | null = null;
  #wasClosed = false;
  #early: Uint8Array[] = [];
  #listeners: (() => void)[] = [];

  constructor(datagramsReadableType?: 'bytes') {
    this.datagrams = new SessionDatagrams(this, datagramsReadableType);
  }

  /** Resolves when either side closed it; rejects with a WebTransportError when it broke off. */
  get closed(): Promise<WebTransportCloseInfo> {
    return this.#closed.promise;
  }

  /** Resolves when the peer asks for it to be wound up. */
  get draining(): Promise<void> {
    return this.#draining.promise;
  }

  /** Streams that the peer opens, in the order in which they come; how many there can be, QUIC bounds. */
  get incomingBidirectional(): ReadableStream<WebTransportBidirectionalStream> {
    return this.#bidirectional.readable;
  }

  get incomingUnidirectional(): ReadableStream<WebTransportReceiveStream> {
    return this.#unidirectional.readable;
  }

  get isOpen(): boolean {
    return this.#carrier !== null && this.#gone === null;
  }

  /** Calls `over` when it has ended, whoever ended it. */
  onOver(over: () => void): void {
    this.#listeners.push(over);
  }

  /** Whether it ended because either side closed it. */
  get wasClosed(): boolean {
    return this.#wasClosed;
  }

  /** What ended it, or null. */
  get gone(): Error | null {
    return this.#gone;
  }

  /** Both sides agreed on it. */
  open(carrier: SessionCarrier, name: SessionName): void {
    this.#carrier = carrier;
    this.#name = name;
    if (this.datagrams.outgoingMaxAge !== null) this.limitAge(this.datagrams.outgoingMaxAge);
    for (const data of this.#early) this.sendDatagram(data);
    this.#early = [];
  }

  get maxDatagramSize(): number {
    const { slot, generation } = this.#name;
    this.#largest = this.isOpen ? (this.#carrier?.native.exchangeStream(slot, generation)?.[1] ?? 0) : 0;
    return this.#largest;
  }

  /** Queues a datagram, copied before this returns; false if it was not. */
  sendDatagram(data: Uint8Array): boolean {
    if (!this.isOpen) return false;
    // A path may have grown since, it hardly ever shrinks; what is too large by then is dropped and counted.
    if (data.byteLength > this.#largest && data.byteLength > this.maxDatagramSize) return false;
    this.#carrier?.datagrams.add(this.#name.slot, this.#name.generation, data);
    return true;
  }

  /** Of a session that is not open yet it is kept, as many as may wait to be sent; then the oldest go. */
  send(data: Uint8Array): void {
    if (this.#carrier !== null) {
      this.sendDatagram(data);
      return;
    }
    this.#early.push(data.slice());
    if (this.#early.length > this.datagrams.outgoingHighWaterMark) this.#early.shift();
  }

  limitAge(ms: number | null): void {
    const { slot, generation } = this.#name;
    // Not less than 1: 0 is no limit.
    const whole = ms === null ? NO_AGE : Math.max(1, Math.min(Math.round(ms), MOST_AGE_MS));
    if (this.isOpen) this.#carrier?.native.limitDatagramAge(slot, generation, whole);
  }

  async room(most: number): Promise<void> {
    if (!this.isOpen) return;
    this.#carrier?.datagrams.flush();
    const { slot, generation } = this.#name;
    await this.#carrier?.native.datagramRoom(slot, generation, Math.min(most, 2 ** 31));
  }

  /** Opens a stream; null: the peer allows none now, and nobody waits. Rejects with what ended the session. */
  async openStream(halves: Halves, options: OpenStreamOptions): Promise<SessionStream | null> {
    const carrier = this.#carrier;
    if (carrier === null || this.#gone !== null) throw this.#gone ?? sessionOver();
    const { slot, generation } = this.#name;
    const name = await carrier.native.openStream(slot, generation, halves.read, options.wait);
    // What ended the session is here with the answer, or a turn behind it.
    if (name === null || this.#gone !== null) throw this.#gone ?? sessionOver();
    if (name === 'none') return null;
    const stream = this.#add(carrier, name, halves);
    if (stream.writable !== null) {
      stream.writable.sendGroup = options.sendGroup;
      stream.writable.sendOrder = options.sendOrder;
    }
    return stream;
  }

  /** Makes a group of streams. Throws an InvalidStateError once it is over. */
  createSendGroup(): WebTransportSendGroup {
    if (this.#gone !== null) throw invalidState('the session is over');
    return this.groups.create();
  }

  /** Keying material that both sides of an open session can make. Throws an InvalidStateError if it is over. */
  exportKeyingMaterial({ label, context, length }: ExporterInput): Uint8Array {
    const { slot, generation } = this.#name;
    const material = this.isOpen
      ? this.#carrier?.native.exportKeyingMaterial(slot, generation, label, context, length)
      : null;
    if (material === null || material === undefined) throw invalidState('the session is over');
    return material;
  }

  /** Datagrams that were too old before the path took them. */
  get expiredOutgoing(): number {
    const { slot, generation } = this.#name;
    if (this.isOpen) {
      const expired = this.#carrier?.native.expiredDatagrams(slot, generation) ?? this.#expiredOutgoing;
      this.#expiredOutgoing = Math.max(this.#expiredOutgoing, expired);
    }
    return this.#expiredOutgoing;
  }

  /** The peer opened a stream. */
  arrived(slot: number, generation: number, bidirectional: boolean): void {
    const carrier = this.#carrier;
    if (carrier === null || this.#gone !== null) return;
    const stream = this.#add(carrier, [slot, generation], { read: true, write: bidirectional });
    if (bidirectional) this.#bidirectional.add(stream as WebTransportBidirectionalStream);
    else this.#unidirectional.add(stream.readable as WebTransportReceiveStream);
  }

  /** The peer sent a datagram. Returns how many had to go. */
  received(payload: Uint8Array): number {
    return this.datagrams.received(payload);
  }

  /** The peer asks for it to be wound up. */
  drained(): void {
    this.#draining.resolve();
  }

  /** Asks the peer to wind it up. */
  drain(): void {
    if (this.isOpen) this.#carrier?.native.drainSession(this.#name.slot, this.#name.generation);
  }

  /** Ends it with all its streams, which end with `error`. */
  close(info: { readonly closeCode?: number; readonly reason?: string }, error: Error): void {
    const carrier = this.#carrier;
    if (carrier === null || this.#gone !== null) return;
    const closeCode = (info.closeCode ?? 0) >>> 0;
    const reason = String(info.reason ?? '');
    carrier.datagrams.flush();
    // The last count there will be.
    void this.expiredOutgoing;
    carrier.native.closeSession(this.#name.slot, this.#name.generation, closeCode, cut(reason));
    this.end({ closeCode, reason }, error);
  }

  ended(info: WebTransportCloseInfo | null): void {
    this.end(info, info === null ? sessionOver('the session broke off') : sessionOver());
  }

  /** It is over: `info` is what either side said, null if it broke off. */
  end(info: WebTransportCloseInfo | null, error: Error): void {
    if (this.#gone !== null) return;
    this.#gone = error;
    this.#wasClosed = info !== null;
    this.#early = [];
    for (const stream of [...this.#streams]) stream.over(error);
    if (info === null) {
      this.#closed.reject(error);
      this.#bidirectional.fail(error);
      this.#unidirectional.fail(error);
      this.datagrams.fail(error);
    } else {
      this.#closed.resolve(info);
      this.#bidirectional.close();
      this.#unidirectional.close();
      this.datagrams.close(error);
    }
    for (const over of this.#listeners) over();
  }

  #add(carrier: SessionCarrier, name: readonly [number, number], halves: Halves): SessionStream {
    const stream = new SessionStream(carrier.native, this.groups, name, halves, (done) => {
      this.#streams.delete(done);
      carrier.streams.delete(done.generation);
    });
    this.#streams.add(stream);
    carrier.streams.set(stream.generation, stream);
    return stream;
  }
}

/** The error of what a session that is over is asked for. */
export function invalidState(message: string): DOMException {
  return new DOMException(message, 'InvalidStateError');
}

/** The beginning of `reason` that has at most 1,024 bytes of UTF-8. */
function cut(reason: string): string {
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(MOST_REASON_BYTES));
  return read === undefined || read >= reason.length ? reason : reason.slice(0, read);
}
