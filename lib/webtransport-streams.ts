/** What is known of a stream that is sent (W3C WebTransport §9). Members that QUIC does not tell are absent. */
export interface WebTransportSendStreamStats {
  /** Bytes that were written and handed to the native part. */
  readonly bytesWritten: number;
}

/** What is known of a stream that is received (W3C WebTransport §11). Members that QUIC does not tell are absent. */
export interface WebTransportReceiveStreamStats {
  /** Bytes that were read. */
  readonly bytesRead: number;
}

/** What the writable half of a stream needs. */
export interface SendStreamSource {
  start(controller: WritableStreamDefaultController): void;
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(reason: unknown): void;
  bytesWritten(): number;
  /** The stream's place among those of its connection changes. */
  prioritize(sendOrder: number): void;
}

/** What the readable half of a stream needs. */
export interface ReceiveStreamSource {
  start(controller: ReadableStreamDefaultController<Uint8Array>): void;
  pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void>;
  cancel(reason: unknown): void;
  bytesRead(): number;
}

/** The half of a stream that is written (W3C WebTransport §9): `abort(error)` sends the `streamErrorCode` of a WebTransportError. */
export class WebTransportSendStream extends WritableStream<Uint8Array> {
  readonly #source: SendStreamSource;
  #sendOrder = 0;

  /** Made by sessions. */
  constructor(source: SendStreamSource) {
    super(source);
    this.#source = source;
  }

  /**
   * Streams of a connection with a higher one are sent first, those with the same one take turns. Default 0. Kept to 32 bits;
   * streams wait for each other only where they compete for the path.
   */
  get sendOrder(): number {
    return this.#sendOrder;
  }

  /** Changes it: of streams of one session, higher ones go first. */
  set sendOrder(value: number) {
    const order = sendOrderOf(value);
    if (order === this.#sendOrder) return;
    this.#sendOrder = order;
    this.#source.prioritize(order);
  }

  /** The counters now. */
  async getStats(): Promise<WebTransportSendStreamStats> {
    return { bytesWritten: this.#source.bytesWritten() };
  }
}

/** The half of a stream that is read (W3C WebTransport §11): `cancel(error)` sends the `streamErrorCode` of a WebTransportError. */
export class WebTransportReceiveStream extends ReadableStream<Uint8Array> {
  readonly #source: ReceiveStreamSource;

  /** Made by sessions. Nothing is read ahead. */
  constructor(source: ReceiveStreamSource) {
    super(source, { highWaterMark: 0 });
    this.#source = source;
  }

  /** The counters now. */
  async getStats(): Promise<WebTransportReceiveStreamStats> {
    return { bytesRead: this.#source.bytesRead() };
  }
}

/** Most and least that a `sendOrder` is. */
const LARGEST_ORDER = 2 ** 31 - 1;

/** `value` as WebIDL's `long long` takes it, kept to 32 bits. Throws a TypeError for what is no number. */
export function sendOrderOf(value: unknown): number {
  if (typeof value === 'symbol') throw new TypeError('sendOrder is a symbol; expected a number');
  const number = Math.trunc(Number(value));
  if (!Number.isFinite(number)) return 0;
  return Math.max(-LARGEST_ORDER, Math.min(LARGEST_ORDER, number));
}
