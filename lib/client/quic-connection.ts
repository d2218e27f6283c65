import type { NativeConnection } from '../../binding.cjs';
import {
  checkDatagram,
  DatagramOutbox,
  eachDatagram,
  QuicConnection,
  type RemoteAddress,
} from '../datagrams.js';
import { H3Error } from '../errors.js';
import { IncomingQueue } from '../incoming-queue.js';
import { NativeClient } from '../native.js';
import { KeepAlive } from '../runtime.js';
import { Settled } from '../settled.js';

/** Datagrams that wait to be read, before the oldest are dropped: as many as a WebTransport session keeps. */
const INCOMING_HIGH_WATER_MARK = 1024;
/** The most that a close code is (RFC 9000 §19.19: a variable-length integer), as far as a number says it exactly. */
const MOST_CLOSE_CODE = Number.MAX_SAFE_INTEGER;

/** How a connection ended. */
export interface QUICCloseInfo {
  /** Whether the server ended it. */
  readonly remote: boolean;
  /** The code that was sent; null: none was. */
  readonly code: number | null;
}

/** The raw datagrams of a connection (RFC 9221). Nothing tells whether one arrives. */
export interface QUICDatagrams {
  /** What the server sends; at most 1,024 wait, then the oldest are dropped. Ends with the connection. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Sends each chunk as a datagram; one that cannot be sent is dropped. */
  readonly writable: WritableStream<Uint8Array>;
  /** The most bytes that a datagram can have now; it changes with the path. 0 once the connection is over. */
  readonly maxDatagramSize: number;
}

/** Numbers of one connection. */
export interface QUICConnectionStats {
  /** Time of the handshake, name resolution included, in milliseconds. */
  readonly handshakeMs: number;
  /** Estimated round-trip time, in milliseconds. */
  readonly roundTripMs: number;
  /** Bytes that may be under way unacknowledged. */
  readonly congestionWindowBytes: number;
  /** The largest packet that the path carries, in bytes. */
  readonly mtuBytes: number;
  /** Packets sent that were lost. */
  readonly lostPackets: bigint;
  /** Bytes in UDP payloads. */
  readonly bytesSent: bigint;
  /** Bytes in UDP payloads. */
  readonly bytesReceived: bigint;
  /** Datagrams handed to QUIC; the path may lose them. */
  readonly datagramsSent: bigint;
  /** Read by this side, those included that nobody took. */
  readonly datagramsReceived: bigint;
  /** Never sent: too old, too large for the path, or older ones of a full queue. */
  readonly datagramsDroppedOutgoing: bigint;
  /** Received, and dropped because too many waited. */
  readonly datagramsDroppedIncoming: bigint;
}

/** Options of the native client that carries one connection. */
export type NativeQuicOptions = ConstructorParameters<typeof NativeClient>[0];

/** Words shared with the native part; not fewer than it asks for. */
const INBOX_WORDS = 16 * 1024;

/**
 * A connection of raw QUIC datagrams to a server, made by `connectQuic`. It keeps the process alive while it is open; see
 * {@link unref}.
 */
export class QUICClientConnection {
  readonly #native: NativeClient;
  readonly #info: NativeConnection;
  readonly #connection: QuicConnection;
  readonly #incoming = new IncomingQueue<Uint8Array>({ most: INCOMING_HIGH_WATER_MARK });
  readonly #closed = new Settled<QUICCloseInfo>();
  readonly #keepAlive = new KeepAlive();
  #last: NativeConnection;
  #dropped = 0;
  #over = false;
  /** What comes in and goes out, as streams. */
  readonly datagrams: QUICDatagrams;

  /** Made by `connectQuic`. */
  constructor(native: NativeClient, outbox: DatagramOutbox, info: NativeConnection) {
    this.#native = native;
    this.#info = info;
    this.#last = info;
    this.#connection = new QuicConnection(native, outbox, info);
    this.datagrams = this.#makeDatagrams();
    this.#keepAlive.hold();
  }

  /** 16 random bytes that name the connection on this side, for its whole life. */
  get connectionId(): Uint8Array {
    return this.#connection.connectionId;
  }

  /** The same in lower-case hexadecimal. */
  get connectionIdHex(): string {
    return this.#connection.connectionIdHex;
  }

  /** The protocol that the handshake agreed on: one of `alpn`. */
  get alpn(): string {
    return this.#connection.alpn;
  }

  /** Where the server is. */
  get remoteAddress(): RemoteAddress {
    return this.#connection.remoteAddress;
  }

  /** The most bytes that a datagram can have now; it changes with the path. 0 once the connection is over. */
  get maxDatagramSize(): number {
    return this.#connection.maxDatagramSize;
  }

  /** Resolves when either side closed the connection; rejects with ERR_H3_CLIENT_CONNECTION_LOST when it was lost. */
  get closed(): Promise<QUICCloseInfo> {
    return this.#closed.promise;
  }

  /** Queues a datagram, copied before this returns; false if it was not, because it is too large or the connection is over. */
  send(data: Uint8Array): boolean {
    return this.#connection.sendReply(data);
  }

  /** Closes the connection with a code of the application and a reason. Idempotent. */
  close(code = 0, reason = ''): Promise<QUICCloseInfo> {
    if (!Number.isInteger(code) || code < 0 || code > MOST_CLOSE_CODE) {
      throw new RangeError(`close(${code}): expected an integer from 0 to 2⁵³-1`);
    }
    if (!this.#over) {
      const { slot, generation } = this.#info;
      this.#native.closeConnection(slot, generation, code, String(reason));
      this.#end({ remote: false, code });
    }
    return this.closed;
  }

  /** The numbers now; of a connection that is over, the last that are known. */
  getStats(): QUICConnectionStats {
    const now = this.#numbers();
    const { received, sent, droppedIncoming, droppedOutgoing } = now.quicDatagrams;
    return {
      handshakeMs: now.handshakeMs ?? 0,
      roundTripMs: now.roundTripMs,
      congestionWindowBytes: now.congestionWindowBytes,
      mtuBytes: now.mtuBytes,
      lostPackets: now.lostPackets,
      bytesSent: now.bytesSent,
      bytesReceived: now.bytesReceived,
      datagramsSent: sent,
      datagramsReceived: received,
      datagramsDroppedOutgoing: droppedOutgoing,
      datagramsDroppedIncoming: droppedIncoming + BigInt(this.#dropped),
    };
  }

  /** The open connection keeps the process alive. This is the default. */
  ref(): this {
    this.#keepAlive.ref();
    return this;
  }

  /** The open connection no longer keeps the process alive. */
  unref(): this {
    this.#keepAlive.unref();
    return this;
  }

  /** Closes it: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => undefined);
  }

  /** The server sent a datagram. Not for programs. */
  received(payload: Uint8Array): void {
    this.#dropped += this.#incoming.add(payload);
  }

  /** It is over. Not for programs. */
  ended(remote: boolean, code: number | null): void {
    if (remote || code !== null) {
      this.#end({ remote, code });
      return;
    }
    const message = 'the connection was lost: nothing came from the server in time';
    this.#end(new H3Error('ERR_H3_CLIENT_CONNECTION_LOST', message));
  }

  #numbers(): NativeConnection {
    if (!this.#over)
      this.#last = this.#native.connection(this.#info.slot, this.#info.generation) ?? this.#last;
    return this.#last;
  }

  #end(how: QUICCloseInfo | H3Error): void {
    if (this.#over) return;
    this.#numbers();
    this.#over = true;
    this.#connection.end();
    if (how instanceof H3Error) {
      this.#closed.reject(how);
      this.#incoming.fail(how);
    } else {
      this.#closed.resolve(how);
      this.#incoming.close();
    }
    this.#keepAlive.release();
    // Behind the close, which it does not replace.
    void this.#native.close();
  }

  #makeDatagrams(): QUICDatagrams {
    const connection = this.#connection;
    return {
      readable: this.#incoming.readable,
      writable: new WritableStream<Uint8Array>({
        write: (chunk) => {
          checkDatagram(chunk);
          if (this.#over) throw new TypeError('the connection is over');
          connection.sendReply(chunk);
        },
      }),
      get maxDatagramSize() {
        return connection.maxDatagramSize;
      },
    };
  }
}

/** A native client for one connection, and what it brings before the connection is there. */
export class QuicDialing {
  readonly native: NativeClient;
  readonly #inbox = new Uint32Array(INBOX_WORDS);
  readonly #outbox = new DatagramOutbox('quic');
  #connection: QUICClientConnection | null = null;
  #early: Uint8Array[] = [];
  #end: { readonly remote: boolean; readonly code: number | null } | null = null;

  constructor(options: NativeQuicOptions) {
    this.native = new NativeClient(
      options,
      {
        inbox: this.#inbox,
        exchange: () => undefined,
        quicDatagrams: (count, bytes) => this.#take(count, bytes),
        disconnected: (_slot, _generation, remote, code) => {
          if (this.#connection === null) this.#end = { remote, code };
          else this.#connection.ended(remote, code);
        },
      },
      new Uint32Array(2),
    );
    this.#outbox.connect(this.native.exchanges);
  }

  /** The handshake is over. What the native part told in between is handed over. */
  open(info: NativeConnection): QUICClientConnection {
    const connection = new QUICClientConnection(this.native, this.#outbox, info);
    this.#connection = connection;
    for (const payload of this.#early) connection.received(payload);
    this.#early = [];
    if (this.#end !== null) connection.ended(this.#end.remote, this.#end.code);
    return connection;
  }

  #take(count: number, bytes: Uint8Array): void {
    eachDatagram(count, this.#inbox, bytes, (_slot, _generation, payload) => {
      if (this.#connection !== null) this.#connection.received(payload);
      else if (this.#early.push(payload) > INCOMING_HIGH_WATER_MARK) this.#early.shift();
    });
    this.#outbox.flush();
  }
}
