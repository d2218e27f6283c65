import { NO_BYTES } from '../body.js';
import type { PackedFields } from '../fields.js';
import { unpackHeaders } from '../headers.js';
import type { IncomingBody } from '../incoming-body.js';
import type { Facts } from './connection-facts.js';
import type { ResponseConnection, ResponseParts } from './transport.js';

/** Numbers of one response; the order is that of `crates/binding/src/responses.rs`. */
const RESPONSE_WORDS = 9;
/** The body comes in pieces. */
const STREAMING = 0xffffffff;
/** In the body's number: it is the next of the shared ones, of this length. */
const SHARED = 1 << 30;
const REUSED = 1;
const EARLY_DATA = 2;

/** A response, or an interim answer, as it came over the border. */
export interface Arrival {
  readonly slot: number;
  readonly generation: number;
  readonly status: number;
  readonly fields: PackedFields;
  readonly trailers: PackedFields;
  /** A view of memory that others share; null: the body comes in pieces. */
  readonly whole: Uint8Array | null;
  readonly connectionSlot: number;
  readonly connectionGeneration: number;
  readonly flags: number;
}

/** A batch of responses: how many, and what the native part handed over for them. */
export interface ArrivalBatch {
  readonly count: number;
  readonly inbox: Uint32Array;
  readonly text: string;
  readonly bodies: readonly Uint8Array[];
  readonly shared: Uint8Array;
}

/** Calls `visit` for each response of a batch, in their order. The inbox may be written again as soon as this is called. */
export function eachArrival(batch: ArrivalBatch, visit: (arrival: Arrival) => void): void {
  const { text, bodies, shared } = batch;
  const words = batch.inbox.slice(0, batch.count * RESPONSE_WORDS);
  const word = (index: number): number => words[index] as number;
  let offset = 0;
  let sharedOffset = 0;
  const wholeBody = (number: number): Uint8Array | null => {
    if (number === STREAMING) return null;
    if (number < SHARED) return bodies[number - 1] ?? NO_BYTES;
    const start = sharedOffset;
    sharedOffset += number - SHARED;
    return shared.subarray(start, sharedOffset);
  };
  for (let at = 0; at < words.length; at += RESPONSE_WORDS) {
    const fieldsEnd = offset + word(at + 3);
    const trailersEnd = fieldsEnd + word(at + 5);
    const arrival: Arrival = {
      slot: word(at),
      generation: word(at + 1),
      status: word(at + 2),
      fields: text.slice(offset, fieldsEnd),
      trailers: text.slice(fieldsEnd, trailersEnd),
      whole: wholeBody(word(at + 4)),
      connectionSlot: word(at + 6),
      connectionGeneration: word(at + 7),
      flags: word(at + 8),
    };
    offset = trailersEnd;
    visit(arrival);
  }
}

/** The parts of a response. What is rarely asked for is made when it is. */
export class ArrivedResponse implements ResponseParts {
  readonly status: number;
  readonly fields: PackedFields;
  readonly body: ReadableStream<Uint8Array> | Uint8Array | null;
  declare connectionNumbers?: NonNullable<ResponseParts['connectionNumbers']>;
  declare abandon?: NonNullable<ResponseParts['abandon']>;
  declare onLost?: NonNullable<ResponseParts['onLost']>;
  declare sendDatagram?: NonNullable<ResponseParts['sendDatagram']>;
  declare maxDatagramSize?: NonNullable<ResponseParts['maxDatagramSize']>;
  readonly #arrival: Arrival;
  readonly #incoming: IncomingBody | null;
  readonly #facts: Facts;
  readonly #firstByteMs: number;
  #connection: ResponseConnection | null = null;

  /** `incoming` reads the body if it comes in pieces; `facts` are those of the connection, which may be gone later. */
  constructor(arrival: Arrival, incoming: IncomingBody | null, facts: Facts, firstByteMs: number) {
    this.status = arrival.status;
    this.fields = arrival.fields;
    this.body = incoming === null ? arrival.whole : incoming.stream;
    this.#arrival = arrival;
    this.#incoming = incoming;
    this.#facts = facts;
    this.#firstByteMs = firstByteMs;
  }

  get trailers(): Promise<Headers> {
    return this.#incoming === null
      ? Promise.resolve(unpackHeaders(this.#arrival.trailers))
      : this.#incoming.trailers.promise;
  }

  get connection(): ResponseConnection {
    this.#connection ??= this.#readConnection();
    return this.#connection;
  }

  #readConnection(): ResponseConnection {
    const { flags } = this.#arrival;
    const { remoteAddress, alpn, connectionId, resumed, handshakeMs } = this.#facts;
    const reused = (flags & REUSED) !== 0;
    return {
      remoteAddress,
      alpn,
      connectionId,
      reused,
      resumed,
      earlyData: (flags & EARLY_DATA) !== 0,
      handshakeMs: reused ? 0 : handshakeMs,
      firstByteMs: this.#firstByteMs,
    };
  }
}
