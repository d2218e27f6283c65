import { setImmediate } from 'node:timers';
import { bytesOrStop, NO_BYTES, pulledStream } from './body.js';

/** A whole body, or a stream of one that is not all there. */
export type Taken = Uint8Array | ReadableStream<Uint8Array>;

/** The most that is read ahead from a stream to send its content in one step; a longer body goes out as a stream. */
const COLLECT_BYTES = 256 * 1024;
/** The most chunks read ahead: bounds streams of empty chunks. Bun hands out buffered bodies in chunks of 16 KiB. */
const COLLECT_CHUNKS = 32;

/**
 * Takes over `stream`: its whole content if all of it is there within this turn of the event loop (and at most 256 KiB),
 * else a stream of the same content. Never waits for a producer. Throws or rejects if the stream fails within the turn.
 *
 * A runtime's Response does not say whether it was made from bytes, and `text()` would collect an endless stream. Measured,
 * CPU ns to make a Response from text and read all of it, 32 in a turn, on Node 20 / Node 26 / Bun / Deno:
 * 15895/6174/3904/4537, with `text()` 17271/5981/1261/709, only made 13252/3847/812/315. Counting microtasks instead of
 * using one `setImmediate` a turn cost the same on Node and 1500 more on Bun. Bun's `readMany()` needs no promise at all for
 * what is there.
 */
export function takeBody(stream: ReadableStream<unknown>): Taken | Promise<Taken> {
  const reader = stream.getReader();
  return readsMany(reader) ? takeMany(reader) : collect(reader);
}

/** Like {@link takeBody}, but always with a turn of patience: what is whole is found to be so on every runtime. */
export function takeWithinTurn(stream: ReadableStream<unknown>): Promise<Taken> {
  return collect(stream.getReader());
}

function collect(reader: Reader): Promise<Taken> {
  return new Promise((resolve, reject) => {
    endWithTurn(new Collection(reader, resolve, reject));
  });
}

type Reader = ReadableStreamDefaultReader<unknown>;
type Read = ReturnType<Reader['read']>;

/** Collections under way in this turn. */
let collections: Collection[] = [];

/** Lets `collection` go on until the microtasks of this turn are done. One callback serves all that begin in a turn. */
function endWithTurn(collection: Collection): void {
  if (collections.push(collection) > 1) return;
  setImmediate(() => {
    const ending = collections;
    collections = [];
    for (const each of ending) each.end();
  });
}

/** Reads a stream until its end, its failure, a bound, or {@link end}. */
class Collection {
  readonly #reader: Reader;
  readonly #resolve: (body: Taken) => void;
  readonly #reject: (error: unknown) => void;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  #read: Read;
  #ended = false;

  constructor(reader: Reader, resolve: (body: Taken) => void, reject: (error: unknown) => void) {
    this.#reader = reader;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#read = this.#next();
  }

  /** Settles with the stream as far as it was not read, unless all of it was. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const reader = this.#reader;
    let pending: Read | null = this.#read;
    const more = async (): Promise<Batch> => {
      const { done, value } = await (pending ?? reader.read());
      pending = null;
      return { value: done ? [] : [value], done };
    };
    this.#resolve(resumedStream(reader, this.#chunks, more));
  }

  #next(): Read {
    const read = this.#reader.read();
    read.then(
      (result) => this.#take(result),
      (error: unknown) => this.#fail(error),
    );
    return read;
  }

  #take({ done, value }: Awaited<Read>): void {
    if (this.#ended) return;
    if (done) {
      this.#ended = true;
      this.#resolve(join(this.#chunks, this.#size));
      return;
    }
    try {
      const bytes = bytesOrStop(value, (reason) => this.#reader.cancel(reason));
      this.#chunks.push(bytes);
      this.#size += bytes.byteLength;
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#read = this.#next();
    if (this.#size >= COLLECT_BYTES || this.#chunks.length >= COLLECT_CHUNKS) this.end();
  }

  #fail(error: unknown): void {
    this.#ended = true;
    this.#reject(error);
  }
}

function join(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [only] = chunks;
  if (only === undefined) return NO_BYTES;
  if (chunks.length === 1) return only;
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** What {@link ManyReader.readMany} gives: chunks that were there, and whether the stream has ended behind them. */
interface Batch {
  readonly value: readonly unknown[];
  readonly done: boolean;
}

/** A reader as Bun has it: what is there comes without a promise. */
interface ManyReader extends Reader {
  readMany(): Batch | Promise<Batch>;
}

function readsMany(reader: Reader): reader is ManyReader {
  return 'readMany' in reader && typeof reader.readMany === 'function';
}

function takeMany(reader: ManyReader): Taken {
  const chunks: Uint8Array[] = [];
  const stop = (reason: unknown): Promise<void> => reader.cancel(reason);
  let size = 0;
  while (size < COLLECT_BYTES && chunks.length < COLLECT_CHUNKS) {
    const batch = reader.readMany();
    if (batch instanceof Promise) {
      let pending: Promise<Batch> | null = batch;
      return resumedStream(reader, chunks, async () => {
        const next = await (pending ?? reader.readMany());
        pending = null;
        return next;
      });
    }
    for (const chunk of batch.value) {
      const bytes = bytesOrStop(chunk, stop);
      chunks.push(bytes);
      size += bytes.byteLength;
    }
    if (batch.done) return join(chunks, size);
  }
  return resumedStream(reader, chunks, async () => reader.readMany());
}

/** The rest of a stream: first the chunks already read, then what `more` brings. */
function resumedStream(
  reader: Reader,
  chunks: Uint8Array[],
  more: () => Promise<Batch>,
): ReadableStream<Uint8Array> {
  const stop = (reason: unknown): Promise<void> => reader.cancel(reason);
  const waiting = [...chunks];
  let ended = false;
  return pulledStream({
    async pull(controller) {
      while (waiting.length === 0 && !ended) {
        const { value, done } = await more();
        waiting.push(...value.map((chunk) => bytesOrStop(chunk, stop)));
        ended = done;
      }
      const next = waiting.shift();
      if (next === undefined) controller.close();
      else controller.enqueue(next);
    },
    cancel: stop,
  });
}
