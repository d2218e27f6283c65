import { pulledStream } from './body.js';
import { usageError } from './errors.js';

/** Bytes up to this length are copied when their Response is made, and sent whole. Longer ones are read while they are sent. */
export const COPIED_BYTES: number = 1 << 20;

/**
 * The body of a Response that is too long to be copied: each answer would hold a copy until a slow client has taken it. It is
 * read slice by slice, as QUIC takes it. So who gave the bytes leaves them as they are until the answer is over; if their
 * memory is taken away meanwhile, the answer is broken off.
 */
export class LargeBytes {
  readonly byteLength: number;
  readonly #view: Uint8Array;

  /** `view` must not follow the length of a resizable buffer. */
  constructor(view: Uint8Array) {
    this.#view = view;
    this.byteLength = view.byteLength;
  }

  /** All of them. Throws a TypeError if they are gone. */
  get view(): Uint8Array {
    if (this.#view.byteLength === this.byteLength) return this.#view;
    throw bytesGone();
  }

  /** Their content in one chunk, which fails if they are gone by then. */
  stream(): ReadableStream<Uint8Array> {
    return pulledStream({
      pull: (controller) => {
        controller.enqueue(this.view);
        controller.close();
      },
    });
  }
}

/** The error of bytes whose buffer was transferred or shortened while they were sent. */
export function bytesGone(): TypeError {
  return usageError(
    'ERR_H3_RESPONSE_BODY',
    'the buffer of the body was transferred or resized before all of it was sent: keep it until the answer is over, or send a copy',
  );
}
