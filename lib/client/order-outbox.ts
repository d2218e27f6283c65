import type { NativeClient } from '../../binding.cjs';
import { fieldLines, filterFields, hasField } from '../fields.js';
import { fromNative } from '../native-error.js';
import { TurnEnd } from '../turn-end.js';
import type { OutgoingExchange } from './outgoing-exchange.js';
import type { RequestOrder } from './transport.js';

/** Numbers of one request; the order is that of `crates/binding/src/orders.rs`. */
const ORDER_WORDS = 10;
/** Requests gathered before they go over at once. */
const MAX_ORDERS = 256;
/** Text gathered before it goes over. */
const MAX_TEXT = 1 << 20;
/** Bodies up to this length travel in one array: handing an array of its own over costs 0.5 µs more. */
const SHARED_BODY_BYTES = 4096;
/** Room for the shared bodies of a turn. */
const SHARED_BYTES = 1 << 16;
/** In the flags: the body follows in pieces. */
const STREAMING = 1;
const TAKES_DATAGRAMS = 2;
const MAY_BE_EARLY = 4;
const DEDICATED = 8;
/** In the flags: what an accepted CONNECT carries. */
const CAPSULES = 16;
const SESSION = 32;
/** In the flags: there are addresses, an empty list perhaps. */
const ADDRESSES = 64;
/** In the body's number: it is the next of the shared ones, of this length. */
const SHARED = 2 ** 31;

/** What becomes of the requests that are handed over. */
export interface OrderListener {
  /** It is on its way, and has a name. */
  handedOver(exchange: OutgoingExchange): void;
  /** It cannot be sent. */
  refused(exchange: OutgoingExchange, reason: Error): void;
}

/** Gathers the requests of a turn and hands them to the native part in one call. */
export class OrderOutbox {
  readonly words = new Uint32Array(MAX_ORDERS * ORDER_WORDS);
  readonly #listener: OrderListener;
  #native: NativeClient | null = null;
  #waiting: OutgoingExchange[] = [];
  #text = '';
  #bodies: Uint8Array[] = [];
  /** Made for the first small body. */
  #shared: Uint8Array | null = null;
  #bytesUsed = 0;
  readonly #turnEnd = new TurnEnd(() => this.flush());

  constructor(listener: OrderListener) {
    this.#listener = listener;
  }

  /** The native part to send to; known once it was made with `words`. */
  connect(native: NativeClient): void {
    this.#native = native;
  }

  /** Adds a request, which goes over with the others of its turn. `addresses`: where its host is, if the program knows. */
  add(exchange: OutgoingExchange, addresses: readonly string[] | null): void {
    const { order } = exchange;
    const { method, url, protocol = '' } = order;
    let { fields } = order;
    let authority = '';
    if (hasField(fields, 'host')) {
      // It goes as `:authority` (RFC 9114 §4.3.1).
      authority = fieldLines(fields, 'host').at(-1) ?? '';
      fields = filterFields(fields, (name) => name !== 'host');
    }
    const where = addresses === null ? '' : addresses.join('\0');
    const { words } = this;
    let at = this.#waiting.push(exchange) * ORDER_WORDS - ORDER_WORDS;
    words[at++] = flagsOf(order) + (addresses === null ? 0 : ADDRESSES);
    words[at++] = url.port;
    words[at++] = url.host.length;
    words[at++] = where.length;
    words[at++] = method.length;
    words[at++] = authority.length;
    words[at++] = url.path.length;
    words[at++] = protocol.length;
    words[at++] = fields.length;
    words[at] = order.body instanceof Uint8Array ? this.#addBody(order.body) : 0;
    this.#text += url.host + where + method + authority + url.path + protocol + fields;
    if (this.#waiting.length === MAX_ORDERS || this.#text.length > MAX_TEXT) this.flush();
    else this.#turnEnd.await();
  }

  /** Hands over what was gathered. */
  flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    const text = this.#text;
    const bodies = this.#bodies;
    const shared = this.#bytesUsed === 0 ? null : (this.#shared?.subarray(0, this.#bytesUsed) ?? null);
    this.#waiting = [];
    this.#text = '';
    this.#bytesUsed = 0;
    if (bodies.length > 0) this.#bodies = [];
    let refused: ReturnType<NativeClient['request']> = null;
    try {
      refused = this.#native?.request(waiting.length, text, shared, bodies) ?? null;
    } catch (error) {
      for (const exchange of waiting) this.#listener.refused(exchange, fromNative(error));
      return;
    }
    const failures = new Map(refused?.map((one) => [one.index, one]));
    for (let index = 0; index < waiting.length; index++) {
      const exchange = waiting[index] as OutgoingExchange;
      const failure = failures.get(index);
      if (failure !== undefined) {
        this.#listener.refused(exchange, fromNative(failure));
        continue;
      }
      const at = index * ORDER_WORDS;
      exchange.named(this.words[at] as number, this.words[at + 1] as number);
      this.#listener.handedOver(exchange);
    }
  }

  /** Where the body is: its number. Small ones are copied. */
  #addBody(body: Uint8Array): number {
    const { byteLength } = body;
    if (byteLength > SHARED_BODY_BYTES || this.#bytesUsed + byteLength > SHARED_BYTES) {
      return this.#bodies.push(body);
    }
    this.#shared ??= new Uint8Array(SHARED_BYTES);
    this.#shared.set(body, this.#bytesUsed);
    this.#bytesUsed += byteLength;
    return SHARED + byteLength;
  }
}

function flagsOf({ body, protocol, onDatagram, earlyData, session }: RequestOrder): number {
  const isStreamed = body !== null && !(body instanceof Uint8Array);
  let flags = isStreamed || (protocol !== undefined && body === null) ? STREAMING : 0;
  if (onDatagram !== undefined) flags += TAKES_DATAGRAMS;
  if (earlyData === true) flags += MAY_BE_EARLY;
  if (session?.dedicated === true) flags += DEDICATED;
  // RFC 9297 §3.1: where datagrams are wanted of a tunnel, its content is capsules.
  if (session !== undefined) flags += SESSION;
  else if (protocol !== undefined && onDatagram !== undefined) flags += CAPSULES;
  return flags;
}
