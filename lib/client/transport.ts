import type { NativeConnection } from '../../binding.cjs';
import type { RemoteAddress } from '../datagrams.js';
import type { H3Error } from '../errors.js';
import type { PackedFields } from '../fields.js';
import type { OpenSession } from '../open-session.js';
import type { ValidatedClientOptions } from './options.js';
import type { RequestUrl } from './request-url.js';

/** One request on its way to the native client. */
export interface RequestOrder {
  /** As it goes on the wire. */
  readonly method: string;
  /** Scheme https; its fragment is not sent. */
  readonly url: RequestUrl;
  /**
   * Checked: no pseudo-header and no field that HTTP/3 forbids. A `host` among them is what `:authority` says, and is not sent
   * as a field of its own (RFC 9114 §4.3.1).
   */
  readonly fields: PackedFields;
  /**
   * Whole, or pulled as flow control allows. The transport cancels a stream that it does not read to its end; one that fails
   * resets the request with H3_REQUEST_CANCELLED, and `send` rejects if the response has not begun.
   */
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  /** Asked for behind a streamed body, once, at its end; a rejection resets the request. */
  readonly trailers?: () => Promise<Headers> | Headers;
  /** Aborts: RESET_STREAM and STOP_SENDING with H3_REQUEST_CANCELLED, also when the response has begun. */
  readonly signal: AbortSignal | null;
  /** `:protocol` of an extended CONNECT (RFC 9220). */
  readonly protocol?: string | undefined;
  /** A WebTransport session is asked for: it is opened before `send` resolves, if the status is 2xx. */
  readonly session?: SessionOrder;
  /** May go in early data (0-RTT) if a ticket allows it. */
  readonly earlyData?: boolean | undefined;
  /** Hears of each interim answer (1xx) before the response. */
  readonly onInformational?: ((status: number, headers: Headers) => void) | undefined;
  /** Gets each HTTP datagram of the request (RFC 9297); without it none are taken. */
  readonly onDatagram?: ((payload: Uint8Array) => void) | undefined;
}

/** A WebTransport session that is asked for. */
export interface SessionOrder {
  readonly session: OpenSession;
  /** Whether it has a connection of its own, which ends with it. */
  readonly dedicated: boolean;
}

/** The connection that carried a response. */
export interface ResponseConnection {
  /** Where the server is. */
  readonly remoteAddress: RemoteAddress;
  /** The protocol that the handshake agreed on. */
  readonly alpn: string;
  /** Names the connection for its whole life: lower-case hexadecimal. */
  readonly connectionId: string;
  /** Another request used it before. */
  readonly reused: boolean;
  /** The handshake resumed a session of an earlier connection. */
  readonly resumed: boolean;
  /** The request went in early data, and the server took it. */
  readonly earlyData: boolean;
  /** Time of the handshake, name resolution included, in milliseconds; 0 if the connection was reused. */
  readonly handshakeMs: number;
  /** Time from the order to the head of the response, in milliseconds. */
  readonly firstByteMs: number;
}

/** A response as the native client hands it over, its interim answers gone by. */
export interface ResponseParts {
  /** 200 to 999. */
  readonly status: number;
  readonly fields: PackedFields;
  /**
   * Null: the message cannot have one. Bytes may lie in memory that other responses share: whoever hands them to a program
   * copies them. A stream is pulled, and errors with an H3Error if it ends early: also when fewer bytes
   * come than content-length says. Cancelling it sends STOP_SENDING with H3_REQUEST_CANCELLED.
   */
  readonly body: ReadableStream<Uint8Array> | Uint8Array | null;
  /**
   * Resolves at the end of the body, empty if there were none; rejects with what ended the body early. It is read only if
   * somebody wants it, and a rejection that nobody looks at is no unhandled one.
   */
  readonly trailers: Promise<Headers>;
  readonly connection: ResponseConnection;
  /** Of a session: the numbers of its connection now; null once that is gone. */
  connectionNumbers?(): NativeConnection | null;
  /** Of a session: gives it up with a code, right behind its answer. */
  abandon?(code: number): void;
  /** Of a request with datagrams: calls `listener` when the request is given up or its connection is lost. */
  onLost?(listener: (reason: Error) => void): void;
  /** Queues an HTTP datagram of the request, copied; false if it was not. Absent: the server takes none. */
  sendDatagram?(data: Uint8Array): boolean;
  /** The most bytes that such a datagram can have now; it changes with the path. */
  maxDatagramSize?(): number;
}

/** Carries requests. */
export interface Transport {
  /**
   * Resolves with the head of the response. Rejects with an H3Error, or with anything when the signal has aborted. The
   * transport keeps the timeouts and limits of the options it was opened with.
   */
  send(order: RequestOrder): Promise<ResponseParts>;
}

/** Counters of a client since it was made. */
export interface H3ClientStats {
  /** Handshakes that were completed. */
  readonly connectionsTotal: bigint;
  /** Connections open now. */
  readonly connectionsActive: number;
  /** Dials that failed, whatever the reason. */
  readonly connectFailures: bigint;
  /** Requests that were begun; those of redirects count each. */
  readonly requests: bigint;
  /** Requests whose response is not here whole. */
  readonly requestsActive: number;
  /** Requests sent again, because it was certain that the server had not processed them. */
  readonly requestsRetried: bigint;
  /** Bytes of UDP payload sent. */
  readonly bytesSent: bigint;
  /** Bytes of UDP payload received. */
  readonly bytesReceived: bigint;
}

/** The connections of one client. */
export interface ClientTransport extends Transport {
  readonly stats: H3ClientStats;
  /** Takes no new requests; resolves when those under way are over and every connection is closed (RFC 9114 §5.2). */
  close(): Promise<void>;
  /** Ends every request with `reason` and drops every connection, at once; resolves when the servers were told. Idempotent. */
  destroy(reason: H3Error): Promise<void>;
}

/** Makes the connections of a client; nothing is dialled before the first request. */
export type OpenTransport = (options: ValidatedClientOptions) => ClientTransport;
