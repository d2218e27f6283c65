import { exposed } from './exposed.js';
import { foreignGroup, sendGroupOf, sendOrderOf, type WebTransportSendGroup } from './send-group.js';

/** What is known of a stream that is sent (W3C WebTransport §9). Members that QUIC does not tell are absent. */
export interface WebTransportSendStreamStats {
  /** Bytes that were written and handed to the native part. */
  readonly bytesWritten: number;
}

/** What is known of a stream that is received (W3C WebTransport §11). Members that QUIC does not tell are absent. */
export interface WebTransportReceiveStreamStats {
  /** Bytes that came and were taken from QUIC; what nobody asked for yet is not counted. */
  readonly bytesReceived: number;
  /** Bytes that were read. */
  readonly bytesRead: number;
}

/** What the writable half of a stream needs. */
export interface SendStreamSource {
  start(controller: WritableStreamDefaultController): void;
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(reason: unknown): void;
  readonly bytesWritten: number;
  /** Whether `group` belongs to its session. */
  knows(group: WebTransportSendGroup | null): boolean;
  /** The stream's place among those of its session changes. */
  place(group: WebTransportSendGroup | null, sendOrder: number): void;
}

/** What the readable half of a stream needs. */
export interface ReceiveStreamSource {
  start(controller: ReadableByteStreamController): void;
  pull(controller: ReadableByteStreamController): Promise<void>;
  cancel(reason: unknown): void;
  readonly bytesReceived: number;
  readonly bytesRead: number;
}

/** The half of a stream that is written (W3C WebTransport §9): `abort(error)` sends the `streamErrorCode` of a WebTransportError. */
export class WebTransportSendStream extends WritableStream<Uint8Array> {
  static {
    exposed(WebTransportSendStream, 'WebTransportSendStream');
  }

  readonly #source: SendStreamSource;
  #sendGroup: WebTransportSendGroup | null = null;
  #sendOrder = 0;

  /** Made by sessions. */
  constructor(source: SendStreamSource) {
    super(source);
    this.#source = source;
  }

  /** The group in which {@link sendOrder} counts; null: that of the streams without one. */
  get sendGroup(): WebTransportSendGroup | null {
    return this.#sendGroup;
  }

  /** Changes it. Throws an InvalidStateError for a group of another session. */
  set sendGroup(value: WebTransportSendGroup | null) {
    const group = sendGroupOf(value);
    if (!this.#source.knows(group)) throw foreignGroup();
    if (group === this.#sendGroup) return;
    this.#sendGroup = group;
    this.#source.place(group, this.#sendOrder);
  }

  /**
   * Of a group, bytes of streams with a higher one are sent first, streams with the same one take turns. Default 0. Between
   * groups, sessions and requests it says nothing. What was sent already stays as it is.
   */
  get sendOrder(): number {
    return this.#sendOrder;
  }

  /** Changes it. */
  set sendOrder(value: number) {
    const order = sendOrderOf(value);
    if (order === this.#sendOrder) return;
    this.#sendOrder = order;
    this.#source.place(this.#sendGroup, order);
  }

  /** The counters now. */
  async getStats(): Promise<WebTransportSendStreamStats> {
    return { bytesWritten: this.#source.bytesWritten };
  }
}

/**
 * The half of a stream that is read (W3C WebTransport §11), a stream of bytes: a reader may bring its own buffers.
 * `cancel(error)` sends the `streamErrorCode` of a WebTransportError.
 */
export class WebTransportReceiveStream extends ReadableStream<Uint8Array> {
  static {
    exposed(WebTransportReceiveStream, 'WebTransportReceiveStream');
  }

  readonly #source: ReceiveStreamSource;

  /** Made by sessions. Nothing is read ahead. */
  constructor(source: ReceiveStreamSource) {
    // The types know a stream of bytes only as one whose chunks are never shared.
    super({ ...source, type: 'bytes' } as object, { highWaterMark: 0 });
    this.#source = source;
  }

  /** The counters now. */
  async getStats(): Promise<WebTransportReceiveStreamStats> {
    const { bytesReceived, bytesRead } = this.#source;
    return { bytesReceived, bytesRead };
  }
}
