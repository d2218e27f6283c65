import type { NativeServer } from '../binding.cjs';
import type { Exchange } from './exchange.js';
import { FileBody } from './file-body.js';
import type { Outgoing } from './response.js';
import { TurnEnd } from './turn-end.js';

/** Numbers of one answer: slot, generation, status, kind, length of the fields, length of the body if it is text or shared. */
const ANSWER_WORDS = 6;
/** Answers gathered before they go over at once. */
const MAX_ANSWERS = 512;
/** Text gathered before it goes over: V8 keeps longer strings in pieces that are costly to read. */
const MAX_TEXT = 1 << 20;
/** Bodies up to this length travel in one shared buffer: handing an array of its own over costs 0.5 µs more. */
const SHARED_BODY_BYTES = 4096;
/** Room for the shared bodies of a turn. */
const SHARED_BYTES = 1 << 18;
/** In the kind: the body is in the shared buffer, its length where that of the text would be. */
const SHARED = 2 ** 29;
/** In the kind: the body is the file that the text names, as `crates/binding/src/files.rs` reads it. */
const FILE = 2 ** 28;
/** In the kind: the body follows in pieces. */
const STREAMING = 2 ** 31;
/** In the kind: an answer of the error handler; refused, it becomes a plain 500. */
const LAST_RESORT = 2 ** 30;

/** Gathers the answers of a turn and hands them to the native part in one call. */
export class Outbox {
  readonly words = new Uint32Array(MAX_ANSWERS * ANSWER_WORDS);
  readonly bytes = new Uint8Array(SHARED_BYTES);
  #native: NativeServer | null = null;
  #count = 0;
  #text = '';
  #bodies: Uint8Array[] = [];
  #bytesUsed = 0;
  #inTurn = false;
  readonly #turnEnd = new TurnEnd(() => this.flush());

  /** The native part to send to; known once it was made with `words`. */
  connect(native: NativeServer): void {
    this.#native = native;
  }

  /** Runs `work`; answers it gives go over together at its end. */
  turn(work: () => void): void {
    this.#inTurn = true;
    try {
      work();
    } finally {
      this.#inTurn = false;
      this.flush();
    }
  }

  /** Adds an answer. A stream's pieces follow by `write`. */
  add(exchange: Exchange, { status, fields, body }: Outgoing): void {
    let kind = exchange.failed ? LAST_RESORT : 0;
    let text = '';
    let length = 0;
    if (typeof body === 'string') {
      text = body;
      length = text.length;
    } else if (body instanceof Uint8Array) {
      if (this.#share(body)) {
        kind += SHARED;
        length = body.byteLength;
      } else {
        kind += this.#bodies.push(body);
      }
    } else if (body instanceof FileBody) {
      kind += FILE;
      text = body.pack(exchange);
      length = text.length;
    } else if (body !== null) {
      kind += STREAMING;
    }
    const { words } = this;
    let at = this.#count * ANSWER_WORDS;
    words[at++] = exchange.slot;
    words[at++] = exchange.generation;
    words[at++] = status;
    words[at++] = kind;
    words[at++] = fields.length;
    words[at] = length;
    this.#text += fields + text;
    this.#count += 1;
    if (this.#count === MAX_ANSWERS || this.#text.length > MAX_TEXT) this.flush();
    else if (!this.#inTurn) this.#turnEnd.await();
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#count === 0) return;
    const count = this.#count;
    const text = this.#text;
    const bodies = this.#bodies;
    const bytesUsed = this.#bytesUsed;
    this.#count = 0;
    this.#text = '';
    this.#bytesUsed = 0;
    if (bodies.length > 0) this.#bodies = [];
    this.#native?.answer(count, text, bytesUsed, bodies);
  }

  /** Puts a small body into the shared buffer; false if it does not fit. */
  #share(body: Uint8Array): boolean {
    if (body.byteLength > SHARED_BODY_BYTES || this.#bytesUsed + body.byteLength > SHARED_BYTES) return false;
    this.bytes.set(body, this.#bytesUsed);
    this.#bytesUsed += body.byteLength;
    return true;
  }
}
