import { chunkBytes } from './body.js';
import { describe, usageError } from './errors.js';
import { exposed } from './exposed.js';
import { IncomingQueue } from './incoming-queue.js';
import {
  foreignGroup,
  type SendGroups,
  sendGroupOf,
  sendOrderOf,
  type WebTransportSendGroup,
  type WebTransportSendOptions,
} from './send-group.js';

/** Datagrams that wait, before the oldest of those that came are dropped, or a writer waits. */
const MOST_BUFFERED = 1024;

/** The datagrams of a session (W3C WebTransport §5). Nothing tells whether one arrives. */
export interface WebTransportDatagrams {
  /**
   * What the peer sends. At most `incomingHighWaterMark` wait to be read; of more, the oldest are dropped and counted. In a
   * server each is a view of memory that it shares with others: copy with `slice()` what is transferred, or kept for long.
   */
  readonly readable: ReadableStream<Uint8Array>;
  /** Sends each chunk as a datagram; one that is too large is dropped. What {@link createWritable} would make, once. */
  readonly writable: WebTransportDatagramsWritable;
  /**
   * One more way in, for a writer of its own. Throws a TypeError for a group of another session, an InvalidStateError once the
   * session is over.
   */
  createWritable(options?: WebTransportSendOptions): WebTransportDatagramsWritable;
  /** The most bytes that a datagram can have now; it changes with the path. 0 once the session is over. */
  readonly maxDatagramSize: number;
  /** How long a datagram that came may wait to be read, in milliseconds; null: as long as it takes. Default null. */
  incomingMaxAge: number | null;
  /** How long one may wait to be sent, in milliseconds; null: as the limits say. Default null. */
  outgoingMaxAge: number | null;
  /** Datagrams that may wait to be read. Default 1,024; less than 1 is 1. */
  incomingHighWaterMark: number;
  /** Datagrams that may wait to be sent, before writing waits. Default 1,024; less than 1 is 1. */
  outgoingHighWaterMark: number;
  /** The newer name of `incomingHighWaterMark`. */
  incomingMaxBufferedDatagrams: number;
  /** The newer name of `outgoingHighWaterMark`. */
  outgoingMaxBufferedDatagrams: number;
}

/** What a way in for datagrams needs of its session. */
export interface DatagramsWritableSource {
  start(controller: WritableStreamDefaultController): void;
  write(chunk: unknown): Promise<void> | undefined;
  /** Whether `group` belongs to its session. */
  knows(group: WebTransportSendGroup | null): boolean;
}

/** A way in for datagrams (W3C WebTransport §4). QUIC sends datagrams before streams, in the order in which they were written. */
export class WebTransportDatagramsWritable extends WritableStream<Uint8Array> {
  static {
    exposed(WebTransportDatagramsWritable, 'WebTransportDatagramsWritable');
  }

  readonly #source: DatagramsWritableSource;
  #sendGroup: WebTransportSendGroup | null = null;
  #sendOrder = 0;

  /** Made by sessions. */
  constructor(source: DatagramsWritableSource) {
    super(source);
    this.#source = source;
  }

  /** Kept, and without effect: datagrams do not wait for streams. */
  get sendGroup(): WebTransportSendGroup | null {
    return this.#sendGroup;
  }

  /** Changes it. Throws an InvalidStateError for a group of another session. */
  set sendGroup(value: WebTransportSendGroup | null) {
    const group = sendGroupOf(value);
    if (!this.#source.knows(group)) throw foreignGroup();
    this.#sendGroup = group;
  }

  /** Kept, and without effect: datagrams do not wait for streams. Default 0. */
  get sendOrder(): number {
    return this.#sendOrder;
  }

  /** Changes it. */
  set sendOrder(value: number) {
    this.#sendOrder = sendOrderOf(value);
  }
}

/** What datagrams need of their session. */
export interface DatagramCarrier {
  /** The most bytes that one can have now; 0: none can be sent. */
  readonly maxDatagramSize: number;
  /** Why none can be sent any more, or null. */
  readonly gone: Error | null;
  /** Queues one, copied before this returns. */
  send(data: Uint8Array): void;
  /** How long those that are sent from now on may wait; null: as the limits say. */
  limitAge(ms: number | null): void;
  /** Waits until fewer than `most` wait to be sent, or the session is over. */
  room(most: number): Promise<void>;
  /** The groups of the session. */
  readonly groups: SendGroups;
}

/** The datagrams of one session. */
export class SessionDatagrams implements WebTransportDatagrams {
  static {
    exposed(SessionDatagrams, 'WebTransportDatagramDuplexStream');
  }

  readonly #carrier: DatagramCarrier;
  readonly #incoming: IncomingQueue<Uint8Array>;
  readonly #controllers = new Set<WritableStreamDefaultController>();
  #writable: WebTransportDatagramsWritable | null = null;
  #outgoingMaxAge: number | null = null;
  #most = MOST_BUFFERED;
  /** Written since there was certainly room. */
  #written = 0;

  /** With `"bytes"`, `readable` takes the buffers of its reader. */
  constructor(carrier: DatagramCarrier, readableType?: 'bytes') {
    this.#carrier = carrier;
    this.#incoming = new IncomingQueue<Uint8Array>({
      most: MOST_BUFFERED,
      ...(readableType === 'bytes' && { deliver: deliverBytes }),
    });
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#incoming.readable;
  }

  get writable(): WebTransportDatagramsWritable {
    this.#writable ??= this.#makeWritable(null, 0);
    return this.#writable;
  }

  get maxDatagramSize(): number {
    return this.#carrier.maxDatagramSize;
  }

  get incomingMaxAge(): number | null {
    return this.#incoming.maxAgeMs;
  }

  set incomingMaxAge(value: number | null) {
    this.#incoming.maxAgeMs = age(value, 'incomingMaxAge');
  }

  get outgoingMaxAge(): number | null {
    return this.#outgoingMaxAge;
  }

  set outgoingMaxAge(value: number | null) {
    this.#outgoingMaxAge = age(value, 'outgoingMaxAge');
    this.#carrier.limitAge(this.#outgoingMaxAge);
  }

  get incomingHighWaterMark(): number {
    return this.#incoming.most;
  }

  set incomingHighWaterMark(value: number) {
    this.#incoming.most = mark(value, 'incomingHighWaterMark');
  }

  get outgoingHighWaterMark(): number {
    return this.#most;
  }

  set outgoingHighWaterMark(value: number) {
    this.#most = mark(value, 'outgoingHighWaterMark');
  }

  get incomingMaxBufferedDatagrams(): number {
    return this.#incoming.most;
  }

  set incomingMaxBufferedDatagrams(value: number) {
    this.incomingHighWaterMark = value;
  }

  get outgoingMaxBufferedDatagrams(): number {
    return this.#most;
  }

  set outgoingMaxBufferedDatagrams(value: number) {
    this.outgoingHighWaterMark = value;
  }

  createWritable(options: WebTransportSendOptions | null = {}): WebTransportDatagramsWritable {
    const sendGroup = sendGroupOf(options?.sendGroup);
    const sendOrder = sendOrderOf(options?.sendOrder ?? 0);
    if (!this.#carrier.groups.has(sendGroup)) throw new TypeError('sendGroup belongs to another session');
    if (this.#carrier.gone !== null) throw new DOMException('the session is over', 'InvalidStateError');
    return this.#makeWritable(sendGroup, sendOrder);
  }

  /** Datagrams that came and nobody read, because too many waited. */
  dropped = 0;

  /** Datagrams that waited too long to be read. */
  get expired(): number {
    return this.#incoming.expired;
  }

  /** One came. Returns how many had to go. */
  received(payload: Uint8Array): number {
    const expired = this.#incoming.expired;
    const gone = this.#incoming.add(payload);
    this.dropped += gone - (this.#incoming.expired - expired);
    return gone;
  }

  /** The session was closed: what came is still read. */
  close(error: Error): void {
    this.#incoming.close();
    this.#end(error);
  }

  /** The session broke off. */
  fail(error: Error): void {
    this.#incoming.fail(error);
    this.#end(error);
  }

  #end(error: Error): void {
    for (const controller of this.#controllers) controller.error(error);
    this.#controllers.clear();
  }

  #makeWritable(sendGroup: WebTransportSendGroup | null, sendOrder: number): WebTransportDatagramsWritable {
    const writable = new WebTransportDatagramsWritable({
      knows: (group) => this.#carrier.groups.has(group),
      start: (controller) => {
        if (this.#carrier.gone === null) this.#controllers.add(controller);
      },
      write: (chunk) => this.#write(chunk),
    });
    writable.sendGroup = sendGroup;
    writable.sendOrder = sendOrder;
    return writable;
  }

  #write(chunk: unknown): Promise<void> | undefined {
    const data = datagramBytes(chunk);
    const { gone } = this.#carrier;
    if (gone !== null) throw gone;
    this.#carrier.send(data);
    this.#written += 1;
    if (this.#written < this.#most) return undefined;
    this.#written = 0;
    return this.#carrier.room(this.#most);
  }
}

/** Bytes of `chunk`, a buffer or a view of one. Throws a TypeError for anything else. */
function datagramBytes(chunk: unknown): Uint8Array {
  if (typeof chunk !== 'string') {
    try {
      return chunkBytes(chunk);
    } catch {
      // Said below, in the words of datagrams.
    }
  }
  throw usageError('ERR_H3_DATAGRAM', `a datagram is ${describe(chunk)}; expected a Uint8Array`);
}

/** W3C WebTransport §5.3, pullDatagrams: a datagram is never cut to fit a reader's buffer. Its memory is its own. */
function deliverBytes(controller: ReadableByteStreamController, datagram: Uint8Array): void {
  const view = controller.byobRequest?.view ?? null;
  if (view === null) {
    controller.enqueue(datagram);
    return;
  }
  if (view.byteLength < datagram.byteLength) {
    throw new RangeError(
      `a datagram of ${datagram.byteLength} bytes does not fit the reader's buffer of ${view.byteLength}`,
    );
  }
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(datagram);
  controller.byobRequest?.respond(datagram.byteLength);
}

/** An age as the draft takes it: 0 is none. Throws a RangeError for what is negative or no number. */
function age(value: unknown, name: string): number | null {
  if (value === null || value === undefined) return null;
  const ms = Number(value);
  if (Number.isNaN(ms) || ms < 0)
    throw new RangeError(`${name} is ${String(value)}; expected 0 or more, or null`);
  return ms === 0 || ms === Number.POSITIVE_INFINITY ? null : ms;
}

/** A mark as the draft takes it: at least 1. Throws a RangeError for what is negative or no number. */
function mark(value: unknown, name: string): number {
  const most = Number(value);
  if (Number.isNaN(most) || most < 0) throw new RangeError(`${name} is ${String(value)}; expected 1 or more`);
  return Math.max(1, Math.floor(most));
}
