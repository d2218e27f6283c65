import type { H3Request } from './request.js';
import type { WebTransportSendGroup, WebTransportSendOptions } from './send-group.js';
import type { WebTransportDatagrams } from './session-datagrams.js';
import type { WebTransportBidirectionalStream } from './session-streams.js';
import type { WebTransportReceiveStream, WebTransportSendStream } from './webtransport-streams.js';

/** How a session ended. */
export interface WebTransportCloseInfo {
  /** The application's code, 0 to 2³²-1. */
  readonly closeCode: number;
  /** The application's words, at most 1,024 bytes of UTF-8; `""` if there are none. */
  readonly reason: string;
}

/** How a session is accepted. */
export interface WTAcceptOptions {
  /** One of {@link WTContext.protocols}; sent as `wt-protocol`. Another is a TypeError. Default: none. */
  protocol?: string | undefined;
  /** More header fields of the answer. Default: none. */
  headers?: ConstructorParameters<typeof Headers>[0];
}

/** A WebTransport session that a client asks for; the first use, or returning without `reject()`, accepts it. */
export interface WTContext<Params = Record<string, string>> {
  /** The CONNECT request that asks for the session: its URL, headers and `origin`. It has no body to read. */
  readonly request: H3Request<Params>;
  /** Decoded path parameters, typed from the pattern of the route. */
  readonly params: Params;
  /** The id of the CONNECT stream. */
  readonly sessionId: bigint;
  /** The application protocols that the client offers, in its order of preference (`wt-available-protocols`). */
  readonly protocols: readonly string[];
  /** Resolves when the session is accepted; rejects when it was not. */
  readonly ready: Promise<void>;
  /** Resolves when the session was closed by either side; rejects with a WebTransportError when it broke off. */
  readonly closed: Promise<WebTransportCloseInfo>;
  /** Resolves when the client asks for the session to be wound up. */
  readonly draining: Promise<void>;
  /** The datagrams of the session as streams; {@link sendDatagram} sends one without a stream. */
  readonly datagrams: WebTransportDatagrams;
  /** The bidirectional streams that the client opens, in the order in which they come. */
  readonly incomingBidirectionalStreams: ReadableStream<WebTransportBidirectionalStream>;
  /** The unidirectional streams that the client opens, in the order in which they come. */
  readonly incomingUnidirectionalStreams: ReadableStream<WebTransportReceiveStream>;
  /** Accepts the session, with a protocol or fields of its own. Throws a TypeError if it was refused or is accepted already. */
  accept(options?: WTAcceptOptions): void;
  /** Refuses the session with an HTTP status from 300 to 599. Throws a TypeError once it is accepted. */
  reject(status: number): void;
  /** Queues a datagram, copied before this returns; false if it was not, because it is too large or the session is over. */
  sendDatagram(data: Uint8Array): boolean;
  /** Makes a group of streams, in which their `sendOrder` counts. Throws an InvalidStateError once the session is over. */
  createSendGroup(): WebTransportSendGroup;
  /**
   * Opens a stream both ways; waits until the client allows one more. Rejects with a WebTransportError if the session is over,
   * with a TypeError for a `sendGroup` of another session.
   */
  createBidirectionalStream(options?: WebTransportSendOptions): Promise<WebTransportBidirectionalStream>;
  /** Opens a stream to the client, like {@link createBidirectionalStream}. */
  createUnidirectionalStream(options?: WebTransportSendOptions): Promise<WebTransportSendStream>;
  /**
   * Keying material of the TLS session for `label` and `context`, of 255 bytes each at most, 1 to 4,096 bytes of it: the client
   * makes the same (draft-ietf-webtrans-http3-16 §4.8), another session never. Rejects with a RangeError for lengths, with an
   * InvalidStateError if the session is over.
   */
  exportKeyingMaterial(
    label: ArrayBuffer | ArrayBufferView,
    context: ArrayBuffer | ArrayBufferView,
    outputLength: number,
  ): Promise<Uint8Array>;
  /** Ends the session with all its streams; `reason` is cut at 1,024 bytes of UTF-8. Idempotent. */
  close(code?: number, reason?: string): void;
  /** The same, with the argument of the W3C's `close()`; `closeCode` is 0 to 2³²-1, default 0, `reason` default `""`. */
  close(info: { readonly closeCode?: number; readonly reason?: string }): void;
  /** Asks the client to wind the session up. */
  drain(): void;
}
