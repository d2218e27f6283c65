import type { NativeServer } from '../binding.cjs';
import type { Exchange } from './exchange.js';
import type { Outgoing } from './response.js';

/** Numbers of one answer: slot, generation, status, kind, length of the fields, length of a text body. */
const ANSWER_WORDS = 6;
/** Answers gathered before they go over at once. */
const MAX_ANSWERS = 512;
/** Text gathered before it goes over: V8 keeps longer strings in pieces that are costly to read. */
const MAX_TEXT = 1 << 20;
/** In the kind: the body follows in pieces. */
const STREAMING = 2 ** 31;
/** In the kind: an answer of the error handler; refused, it becomes a plain 500. */
const LAST_RESORT = 2 ** 30;

/** Gathers the answers of a turn and hands them to the native part in one call. */
export class Outbox {
  readonly words = new Uint32Array(MAX_ANSWERS * ANSWER_WORDS);
  #native: NativeServer | null = null;
  #count = 0;
  #text = '';
  #bodies: Uint8Array[] = [];
  #inTurn = false;
  #scheduled = false;

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
    if (typeof body === 'string') text = body;
    else if (body instanceof Uint8Array) kind += this.#bodies.push(body);
    else if (body !== null) kind += STREAMING;
    const { words } = this;
    let at = this.#count * ANSWER_WORDS;
    words[at++] = exchange.slot;
    words[at++] = exchange.generation;
    words[at++] = status;
    words[at++] = kind;
    words[at++] = fields.length;
    words[at] = text.length;
    this.#text += fields + text;
    this.#count += 1;
    if (this.#count === MAX_ANSWERS || this.#text.length > MAX_TEXT) this.flush();
    else if (!this.#inTurn) this.#schedule();
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#count === 0) return;
    const count = this.#count;
    const text = this.#text;
    const bodies = this.#bodies;
    this.#count = 0;
    this.#text = '';
    if (bodies.length > 0) this.#bodies = [];
    this.#native?.answer(count, text, bodies);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.flush();
    });
  }
}
