import type { H3Request } from './request.js';

/** Where a raw QUIC datagram came from, and the way back. */
export interface QUICDatagramContext {
  /** 16 random bytes that name the connection for its whole life. */
  readonly connectionId: Uint8Array;
  /** The same in lower-case hexadecimal. */
  readonly connectionIdHex: string;
  /** The id that the client chose for its first packet; not unique. */
  readonly originalDestinationConnectionId: Uint8Array;
  /** IP address and port of the client. */
  readonly remoteAddress: string;
  /** The most bytes that a reply can have now; it changes with the path. */
  readonly maxDatagramSize: number;
  /** Queues a datagram; false if it was dropped instead, because it is too large or the connection is gone. */
  sendReply(data: Uint8Array): boolean;
}

/** The request that an HTTP datagram belongs to (RFC 9297), and the way back. */
export interface H3DatagramContext<Params = Record<string, string>> {
  readonly streamId: bigint;
  /** The quarter stream id (RFC 9297 §2.1). */
  readonly flowId: bigint;
  readonly request: H3Request<Params>;
  readonly params: Params;
  /** The most bytes that a reply can have now; it changes with the path. */
  readonly maxDatagramSize: number;
  /** Queues a datagram; false if it was dropped instead, because it is too large or the request is over. */
  sendReply(data: Uint8Array): boolean;
}
