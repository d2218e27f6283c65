import type {
  ReadableStreamAsyncIterator,
  ReadableStreamGetReaderOptions,
  ReadableStreamReader,
  ReadableStreamReadResult,
  UnderlyingSource,
} from 'node:stream/web';

/** What waits in front of a stream. */
export interface WaitingItems<Item> {
  /** Takes the next one, as if it had gone through the stream; undefined: none waits. */
  take(): Item | undefined;
}

/**
 * A stream of what waits in a queue of ours, and only there: the stream itself keeps nothing (its source has a high-water mark
 * of 0). So what its readers and iterators ask for can be taken from the queue where something waits, without the stream's
 * machinery, whose promises cost more than a small datagram. Everything else, pipes and branches too, is done by the stream.
 */
export class QueuedStream<Item> extends ReadableStream<Item> {
  readonly #items: WaitingItems<Item>;

  constructor(source: UnderlyingSource<Item>, items: WaitingItems<Item>) {
    super(source, { highWaterMark: 0 });
    this.#items = items;
  }

  override getReader(options: { mode: 'byob' }): ReadableStreamBYOBReader;
  override getReader(): ReadableStreamDefaultReader<Item>;
  override getReader(options?: ReadableStreamGetReaderOptions): ReadableStreamReader<Item>;
  override getReader(options?: ReadableStreamGetReaderOptions): ReadableStreamReader<Item> {
    // A stream of chunks has no such reader; it says so in its own words.
    if (options?.mode !== undefined) return super.getReader(options);
    return new QueueReader<Item>(this, this.#items);
  }

  override values(options?: { preventCancel?: boolean }): ReadableStreamAsyncIterator<Item> {
    const reader = new QueueReader<Item>(this, this.#items);
    return new QueueIterator(reader, options?.preventCancel ?? false) as never;
  }

  override [Symbol.asyncIterator](options?: { preventCancel?: boolean }): ReadableStreamAsyncIterator<Item> {
    return this.values(options);
  }
}

/** Reads what waits directly, and through the stream what does not wait yet. */
class QueueReader<Item> extends ReadableStreamDefaultReader<Item> {
  readonly #items: WaitingItems<Item>;
  /** Reads that the stream has not answered. */
  #pending = 0;
  /**
   * Whether the next one is that of the queue. Not before a first read through the stream: it may keep one that came for a
   * reader who had let go of it by then.
   */
  #isNext = false;
  #isReleased = false;
  readonly #answered = (): void => {
    this.#pending -= 1;
    this.#isNext = this.#pending === 0 && !this.#isReleased;
  };

  constructor(stream: ReadableStream<Item>, items: WaitingItems<Item>) {
    super(stream);
    this.#items = items;
  }

  /** What {@link read} would give, if that waits in the queue already. */
  take(): Item | undefined {
    return this.#isNext ? this.#items.take() : undefined;
  }

  override read(): Promise<ReadableStreamReadResult<Item>> {
    const value = this.take();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    this.#isNext = false;
    this.#pending += 1;
    const reading = super.read();
    reading.then(this.#answered, this.#answered);
    return reading;
  }

  override releaseLock(): void {
    this.#isReleased = true;
    this.#isNext = false;
    super.releaseLock();
  }
}

/** What the streams of the platform have (Streams §4.2.5): it holds the lock until the end, or until its user leaves the loop. */
class QueueIterator<Item> {
  readonly #reader: QueueReader<Item>;
  readonly #preventCancel: boolean;
  #isOver = false;
  /** The last call that waits for the one before it. */
  #last: Promise<unknown> | null = null;

  constructor(reader: QueueReader<Item>, preventCancel: boolean) {
    this.#reader = reader;
    this.#preventCancel = preventCancel;
  }

  next(): Promise<IteratorResult<Item>> {
    if (this.#last === null) {
      const value = this.#reader.take();
      if (value !== undefined) return Promise.resolve({ value, done: false });
    }
    return this.#inTurn(() => this.#read());
  }

  return(value?: unknown): Promise<IteratorResult<Item>> {
    return this.#inTurn(() => this.#leave(value));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls `step` when everything asked for before is done, as Web IDL has it (§3.7.10.2). */
  #inTurn(step: () => Promise<IteratorResult<Item>>): Promise<IteratorResult<Item>> {
    const result = this.#last === null ? step() : this.#last.then(step, step);
    this.#last = result;
    const done = (): void => {
      if (this.#last === result) this.#last = null;
    };
    result.then(done, done);
    return result;
  }

  async #read(): Promise<IteratorResult<Item>> {
    if (this.#isOver) return { value: undefined, done: true };
    try {
      const { value, done } = await this.#reader.read();
      if (!done) return { value, done };
    } catch (error) {
      this.#release();
      throw error;
    }
    this.#release();
    return { value: undefined, done: true };
  }

  async #leave(value: unknown): Promise<IteratorResult<Item>> {
    if (!this.#isOver) {
      const cancelled = this.#preventCancel ? undefined : this.#reader.cancel(value);
      this.#release();
      await cancelled;
    }
    return { value, done: true };
  }

  #release(): void {
    this.#isOver = true;
    this.#reader.releaseLock();
  }
}

// The prototype that all asynchronous iterators share, which no name leads to.
const AsyncIteratorPrototype: unknown = Object.getPrototypeOf(
  Object.getPrototypeOf(Object.getPrototypeOf((async function* () {})())),
);
Object.setPrototypeOf(QueueIterator.prototype, AsyncIteratorPrototype as object);
