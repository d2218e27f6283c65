/** Things that arrive and are read as a stream: a bounded queue that drops the oldest, or an unbounded one. */
export class IncomingQueue<Item> {
  readonly readable: ReadableStream<Item>;
  readonly #most: number;
  #controller: ReadableStreamDefaultController<Item> | null = null;
  #queue: Item[] = [];
  #wanted: (() => void) | null = null;
  #end: { readonly error?: unknown } | null = null;

  /** At most `most` wait; `cancelled` is told when nobody wants more. */
  constructor(most: number, cancelled?: () => void) {
    this.#most = most;
    this.readable = new ReadableStream<Item>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          this.#queue = [];
          this.#end ??= {};
          this.#wanted?.();
          cancelled?.();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Adds one. Returns how many had to go: of a full queue the oldest, of an ended one this. */
  add(item: Item): number {
    if (this.#end !== null) return 1;
    this.#queue.push(item);
    const dropped = this.#queue.length > this.#most ? 1 : 0;
    if (dropped > 0) this.#queue.shift();
    this.#wanted?.();
    return dropped;
  }

  /** Nothing more comes; what waits is still read. */
  close(): void {
    if (this.#end !== null) return;
    this.#end = {};
    if (this.#wanted === null && this.#queue.length === 0) this.#controller?.close();
    this.#wanted?.();
  }

  /** Nothing more comes, and what waits is gone. */
  fail(error: unknown): void {
    if (this.#end !== null) return;
    this.#end = { error };
    this.#queue = [];
    this.#controller?.error(error);
    this.#wanted?.();
  }

  async #pull(controller: ReadableStreamDefaultController<Item>): Promise<void> {
    if (this.#queue.length === 0 && this.#end === null) {
      await new Promise<void>((resolve) => {
        this.#wanted = resolve;
      });
      this.#wanted = null;
    }
    const [item] = this.#queue;
    if (item !== undefined) {
      this.#queue.shift();
      controller.enqueue(item);
    }
    if (this.#queue.length === 0 && this.#end !== null && !('error' in this.#end)) closeQuietly(controller);
  }
}

/** A stream that was cancelled meanwhile is closed already. */
function closeQuietly(controller: ReadableStreamDefaultController): void {
  try {
    controller.close();
  } catch {
    // Nobody reads it any more.
  }
}
