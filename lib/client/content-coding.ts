import type { Transform } from 'node:stream';
import { pulledStream } from '../body.js';
import { builtin } from '../builtin.js';
import { H3Error } from '../errors.js';
import { ignore } from './failure.js';

/** Makes the decoder of a content coding; `first` is the beginning of the content. */
type MakeDecoder = (first: Uint8Array) => Transform;

/** Content codings one upon another: more are refused, since each costs memory and work. */
const MOST_CODINGS = 5;
/** Bytes of decoded content made at a time. */
const CHUNK_BYTES = 64 * 1024;
/** Low half of the first byte of a zlib header (RFC 1950 §2.2). */
const ZLIB_METHOD = 8;

const OPTIONS = { chunkSize: CHUNK_BYTES };

/** What undoes a coding where the runtime has it: Node from 22.15 and 23.8. */
interface Zstd {
  createZstdDecompress?: (options: object) => Transform;
}

/** Names as RFC 9110 §8.4.1 has them. */
let decoders: ReadonlyMap<string, MakeDecoder> | undefined;

/** How each coding is undone that this runtime knows. Made for the first request that is sent. */
function knownDecoders(): ReadonlyMap<string, MakeDecoder> {
  decoders ??= makeDecoders();
  return decoders;
}

function makeDecoders(): ReadonlyMap<string, MakeDecoder> {
  const zlib = builtin('node:zlib');
  const { createZstdDecompress } = zlib as Zstd;
  const made = new Map<string, MakeDecoder>([
    ['gzip', () => zlib.createGunzip(OPTIONS)],
    ['x-gzip', () => zlib.createGunzip(OPTIONS)],
    // Many servers send raw deflate instead of zlib, and every client takes both.
    [
      'deflate',
      ([head = 0]) =>
        (head & 0x0f) === ZLIB_METHOD ? zlib.createInflate(OPTIONS) : zlib.createInflateRaw(OPTIONS),
    ],
    ['br', () => zlib.createBrotliDecompress(OPTIONS)],
  ]);
  if (createZstdDecompress !== undefined) made.set('zstd', () => createZstdDecompress(OPTIONS));
  return made;
}

let accepted: string | undefined;

/** What `accept-encoding` says of this runtime. */
export function acceptedCodings(): string {
  accepted ??= [...knownDecoders().keys()].filter((name) => name !== 'x-gzip').join(', ');
  return accepted;
}

/**
 * The codings that `content-encoding` lists, in the order in which they were applied; null if there are none, or one that is
 * not known: then the content is left as it is, as fetch does it. Throws an {@link H3Error} for too many.
 */
export function readCodings(contentEncoding: string | null): readonly string[] | null {
  if (contentEncoding === null || contentEncoding === '') return null;
  const names = contentEncoding
    .split(',', MOST_CODINGS + 1)
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== 'identity' && name !== '');
  if (names.length > MOST_CODINGS) {
    throw new H3Error('ERR_H3_CLIENT_DECODE', `the response has more than ${MOST_CODINGS} content codings`, {
      remote: true,
    });
  }
  return names.length > 0 && names.every((name) => knownDecoders().has(name)) ? names : null;
}

/**
 * The content behind `codings`. It is pulled: at most some chunks are decoded ahead, however much a few bytes become. Errors
 * with an {@link H3Error} for content that is not what its coding says, or ends in the middle of it, as far as the decoders
 * of the runtime notice: those of Deno take an unfinished br or zstd for a whole one, those of Bun and Node 22 an unfinished zstd.
 */
export function decode(
  source: ReadableStream<Uint8Array>,
  codings: readonly string[],
): ReadableStream<Uint8Array> {
  return codings.reduceRight((content, coding) => {
    const make = knownDecoders().get(coding) as MakeDecoder;
    const decoding = new Decoding(content, coding, make);
    return pulledStream({
      pull: (controller) => decoding.pull(controller),
      cancel: (reason) => decoding.cancel(reason),
    });
  }, source);
}

/** One coding being undone. The decoder is made when the first byte is here: empty content has no coding. */
class Decoding {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #coding: string;
  readonly #make: MakeDecoder;
  #decoder: Transform | null = null;
  /** The decoder has bytes that it has not looked at. */
  #busy = false;
  /** Everything was given to the decoder. */
  #fed = false;
  #ended = false;
  #error: Error | null = null;
  #changed: (() => void) | null = null;

  constructor(source: ReadableStream<Uint8Array>, coding: string, make: MakeDecoder) {
    this.#reader = source.getReader();
    this.#coding = coding;
    this.#make = make;
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      if (this.#error !== null) throw this.#failure(this.#error);
      const chunk = this.#decoder?.read() as Uint8Array | null | undefined;
      if (chunk) {
        controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        return;
      }
      if (this.#ended) {
        await this.#drain();
        controller.close();
        return;
      }
      if (this.#busy || this.#fed) await this.#change();
      else await this.#feed();
    }
  }

  cancel(reason: unknown): Promise<void> {
    this.#decoder?.destroy();
    return this.#reader.cancel(reason);
  }

  /** Gives the decoder the next bytes, or their end. */
  async #feed(): Promise<void> {
    try {
      const { done, value } = await this.#reader.read();
      if (done) this.#finish();
      else if (value.byteLength > 0) this.#write(value);
    } catch (error) {
      this.#decoder?.destroy();
      throw error;
    }
  }

  /** Some decoders know their end before the content is over. What comes behind it is dropped, as every client does it. */
  async #drain(): Promise<void> {
    while (!this.#fed) this.#fed = (await this.#reader.read()).done;
  }

  #write(bytes: Uint8Array): void {
    this.#decoder ??= this.#begin(bytes);
    this.#busy = true;
    this.#decoder.write(bytes, () => {
      this.#busy = false;
      this.#wake();
    });
  }

  #finish(): void {
    this.#fed = true;
    if (this.#decoder === null) this.#ended = true;
    else this.#decoder.end();
  }

  #begin(first: Uint8Array): Transform {
    const decoder = this.#make(first);
    decoder.on('readable', () => this.#wake());
    decoder.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    decoder.on('error', (error: Error) => {
      this.#error = error;
      this.#reader.cancel(error).catch(ignore);
      this.#wake();
    });
    return decoder;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }

  #wake(): void {
    this.#changed?.();
    this.#changed = null;
  }

  #failure(cause: Error): H3Error {
    return this.#fed
      ? new H3Error('ERR_H3_CLIENT_BODY_TRUNCATED', `the ${this.#coding} content ends in the middle`, {
          remote: true,
          cause,
        })
      : new H3Error('ERR_H3_CLIENT_DECODE', `the content is not ${this.#coding}: ${cause.message}`, {
          remote: true,
          cause,
        });
  }
}
