import type { NativeConnection, NativeExchanges, NativeServer } from '../binding.cjs';
import { describe, usageError } from './errors.js';
import type { Exchange } from './exchange.js';
import type { H3Request } from './request.js';
import { TurnLull } from './turn-lull.js';

/** An IP address and a UDP port. */
export interface RemoteAddress {
  /** The IP address as text, without brackets. */
  readonly address: string;
  /** The UDP port, 1 to 65535. */
  readonly port: number;
  /** The kind of `address`; an IPv4 client of a socket for both is `IPv4`. */
  readonly family: 'IPv4' | 'IPv6';
}

/** One connection of a client, for as long as it lasts. */
export interface H3Connection {
  /** 16 random bytes that name the connection for its whole life. */
  readonly connectionId: Uint8Array;
  /** The same in lower-case hexadecimal. */
  readonly connectionIdHex: string;
  /** The id that the client chose for its first packet (RFC 9000 §7.2); not unique. */
  readonly originalDestinationConnectionId: Uint8Array;
  /** Where the client is; where it was last once the connection is over. Connections migrate (RFC 9000 §9). */
  readonly remoteAddress: RemoteAddress;
  /** The protocol that the handshake agreed on: `h3`, or one of `quicAlpn`. */
  readonly alpn: string;
}

/** Where a raw QUIC datagram came from, and the way back. One object for each connection. */
export interface QUICDatagramContext extends H3Connection {
  /** The most bytes that a datagram can have now; it changes with the path. 0 once the connection is over. */
  readonly maxDatagramSize: number;
  /**
   * Queues a datagram, copied before this returns; false if it was not, because it is too large or the connection is over.
   * Nothing tells whether a datagram arrives (RFC 9221 §5).
   */
  sendReply(data: Uint8Array): boolean;
}

/** The request that an HTTP datagram belongs to (RFC 9297), and the way back. One object for each request. */
export interface H3DatagramContext<Params = Record<string, string>> {
  /** The id of the request's stream. */
  readonly streamId: bigint;
  /** The quarter stream id (RFC 9297 §2.1). */
  readonly flowId: bigint;
  /** The request that the datagram belongs to. */
  readonly request: H3Request<Params>;
  /** Its decoded path parameters, typed from the pattern of the route. */
  readonly params: Params;
  /** The most bytes that a datagram can have now; it changes with the path. 0 once the request is over. */
  readonly maxDatagramSize: number;
  /**
   * Queues a datagram, copied before this returns; false if it was not, because it is too large, the client takes none, or
   * the request is over.
   */
  sendReply(data: Uint8Array): boolean;
}

/** Numbers of one datagram: slot, generation, length; the order is that of `crates/binding/src/datagrams.rs`. */
const DATAGRAM_WORDS = 3;
/** Datagrams gathered before they go over. */
const MAX_DATAGRAMS = 2048;
/** Bytes gathered before they go over. */
const MAX_BYTES = 1 << 18;

/** Whose datagrams are. */
export type Layer = 'quic' | 'h3' | 'webtransport';

/** Gathers the datagrams of a turn and hands them to the native part in one call. */
export class DatagramOutbox {
  readonly #layer: Layer;
  readonly #words = new Uint32Array(MAX_DATAGRAMS * DATAGRAM_WORDS);
  #bytes = new Uint8Array(0);
  #native: NativeExchanges | null = null;
  #count = 0;
  #used = 0;
  readonly #lull = new TurnLull(() => this.flush());

  constructor(layer: Layer) {
    this.#layer = layer;
  }

  connect(native: NativeExchanges): void {
    this.#native = native;
  }

  /** Adds a datagram of the connection or exchange that the two numbers name. */
  add(slot: number, generation: number, data: Uint8Array): void {
    const { byteLength } = data;
    if (this.#count === MAX_DATAGRAMS || this.#used + byteLength > MAX_BYTES) this.flush();
    if (this.#bytes.byteLength === 0) this.#bytes = new Uint8Array(MAX_BYTES);
    this.#bytes.set(data, this.#used);
    this.#used += byteLength;
    let at = this.#count * DATAGRAM_WORDS;
    this.#words[at++] = slot;
    this.#words[at++] = generation;
    this.#words[at] = byteLength;
    this.#count += 1;
    this.#lull.await();
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#count === 0) return;
    const count = this.#count;
    const used = this.#used;
    this.#count = 0;
    this.#used = 0;
    this.#native?.sendDatagrams(this.#layer, count, this.#words, this.#bytes.subarray(0, used));
  }
}

/** Cuts the bytes of a batch into its datagrams. The views share the memory of the batch. */
export function eachDatagram(
  count: number,
  words: Uint32Array,
  bytes: Uint8Array,
  take: (slot: number, generation: number, payload: Uint8Array) => void,
): void {
  // The numbers are shared with the next batch: a handler may not come back before it.
  const own = words.slice(0, count * DATAGRAM_WORDS);
  const { buffer } = bytes;
  let offset = bytes.byteOffset;
  for (let at = 0; at < own.length; at += DATAGRAM_WORDS) {
    const length = own[at + 2] as number;
    take(own[at] as number, own[at + 1] as number, new Uint8Array(buffer, offset, length));
    offset += length;
  }
}

/** A connection as handlers see it. */
export class QuicConnection implements QUICDatagramContext {
  readonly connectionId: Uint8Array;
  readonly connectionIdHex: string;
  readonly originalDestinationConnectionId: Uint8Array;
  readonly alpn: string;
  readonly #native: Pick<NativeServer, 'connection'>;
  readonly #outbox: DatagramOutbox;
  readonly #slot: number;
  readonly #generation: number;
  #address: RemoteAddress;
  #largest: number;
  #over = false;

  constructor(native: Pick<NativeServer, 'connection'>, outbox: DatagramOutbox, info: NativeConnection) {
    this.#native = native;
    this.#outbox = outbox;
    this.#slot = info.slot;
    this.#generation = info.generation;
    this.connectionId = info.id;
    this.connectionIdHex = hexOf(info.id);
    this.originalDestinationConnectionId = info.originalDestinationConnectionId;
    this.alpn = info.alpn;
    this.#address = info.remoteAddress as RemoteAddress;
    this.#largest = info.maxDatagramSize;
  }

  get remoteAddress(): RemoteAddress {
    this.#refresh();
    return this.#address;
  }

  get maxDatagramSize(): number {
    this.#refresh();
    return this.#over ? 0 : this.#largest;
  }

  sendReply(data: Uint8Array): boolean {
    checkDatagram(data);
    if (this.#over) return false;
    // A path may have grown since, it hardly ever shrinks; what is too large by then is dropped and counted.
    if (data.byteLength > this.#largest && data.byteLength > this.maxDatagramSize) return false;
    this.#outbox.add(this.#slot, this.#generation, data);
    return true;
  }

  /** The connection is over. */
  end(): void {
    this.#over = true;
  }

  #refresh(): void {
    if (this.#over) return;
    const info = this.#native.connection(this.#slot, this.#generation);
    if (info === null) {
      this.#over = true;
      return;
    }
    this.#address = info.remoteAddress as RemoteAddress;
    this.#largest = info.maxDatagramSize;
  }
}

/** An exchange's datagrams as its handler sees them. */
export class ExchangeDatagrams implements H3DatagramContext {
  readonly request: H3Request;
  readonly streamId: bigint;
  readonly #native: NativeExchanges;
  readonly #outbox: DatagramOutbox;
  readonly #exchange: Exchange;
  #largest: number;

  constructor(native: NativeExchanges, outbox: DatagramOutbox, exchange: Exchange, request: H3Request) {
    this.request = request;
    this.#native = native;
    this.#outbox = outbox;
    this.#exchange = exchange;
    const [streamId, largest] = native.exchangeStream(exchange.slot, exchange.generation) ?? [0n, 0];
    this.streamId = streamId;
    this.#largest = largest;
  }

  get flowId(): bigint {
    return this.streamId / 4n;
  }

  get params(): Record<string, string> {
    return this.request.params;
  }

  get maxDatagramSize(): number {
    if (this.#exchange.over) return 0;
    this.#largest = this.#native.exchangeStream(this.#exchange.slot, this.#exchange.generation)?.[1] ?? 0;
    return this.#largest;
  }

  sendReply(data: Uint8Array): boolean {
    checkDatagram(data);
    if (this.#exchange.over) return false;
    if (data.byteLength > this.#largest && data.byteLength > this.maxDatagramSize) return false;
    this.#outbox.add(this.#exchange.slot, this.#exchange.generation, data);
    return true;
  }
}

/** The bytes as lower-case hexadecimal. */
export function hexOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** Throws a TypeError unless `data` can be sent as a datagram. */
export function checkDatagram(data: unknown): void {
  if (data instanceof Uint8Array) return;
  throw usageError('ERR_H3_DATAGRAM', `a datagram is ${describe(data)}; expected a Uint8Array`);
}
