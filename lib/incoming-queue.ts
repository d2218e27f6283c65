import { QueuedStream } from './queued-stream.js';
import { Ring } from './ring.js';

/** Looked up once: on Node the global is a getter. */
const clock = performance;

/** How what arrives is kept and handed over. */
export interface IncomingQueueOptions<Item> {
  /** How many wait at most; of more, the oldest go. */
  readonly most: number;
  /** Is told when nobody wants more. */
  readonly cancelled?: () => void;
  /** Hands one over in another way than as a chunk, to a stream of bytes. Throws what errors the stream. */
  readonly deliver?: (controller: ReadableByteStreamController, item: Item) => void;
}

/** What waits, and since when. */
interface Waiting<Item> {
  readonly item: Item;
  /** By `performance.now()`. */
  readonly since: number;
}

type Controller<Item> = ReadableStreamDefaultController<Item> | ReadableByteStreamController;

/** Things that arrive and are read as a stream: a bounded queue that drops the oldest, or an unbounded one. */
export class IncomingQueue<Item> {
  readonly readable: ReadableStream<Item>;
  /** How many wait at most. */
  most: number;
  /** How long they wait at most, in milliseconds; null: as long as it takes. */
  maxAgeMs: number | null = null;
  /** How many waited longer than that. */
  expired = 0;
  readonly #deliver: IncomingQueueOptions<Item>['deliver'];
  #controller: Controller<Item> | null = null;
  readonly #queue = new Ring<Waiting<Item>>();
  #wanted: (() => void) | null = null;
  #end: { readonly error?: unknown } | null = null;

  constructor({ most, cancelled, deliver }: IncomingQueueOptions<Item>) {
    this.most = most;
    this.#deliver = deliver;
    const source = {
      start: (controller: Controller<Item>) => {
        this.#controller = controller;
      },
      pull: () => this.#pull(),
      cancel: () => {
        this.#queue.clear();
        this.#end ??= {};
        this.#wanted?.();
        cancelled?.();
      },
    };
    this.readable = (
      deliver === undefined
        ? new QueuedStream<Item>(source, this)
        : new ReadableStream({ ...source, type: 'bytes' }, { highWaterMark: 0 })
    ) as ReadableStream<Item>;
  }

  /** Adds one. Returns how many had to go: of a full queue the oldest, of an ended one this, and those that are too old. */
  add(item: Item): number {
    if (this.#end !== null) return 1;
    const since = clock.now();
    this.#queue.push({ item, since });
    let dropped = 0;
    while (this.#queue.length > this.most) {
      this.#queue.shift();
      dropped += 1;
    }
    dropped += this.#expire(since);
    if (this.#queue.length > 0) this.#wanted?.();
    return dropped;
  }

  /** Takes the one that waited longest; undefined: none waits. */
  take(): Item | undefined {
    if (this.maxAgeMs !== null) this.#expire(clock.now());
    const first = this.#queue.shift();
    if (first === undefined) return undefined;
    this.#closeIfOver();
    return first.item;
  }

  /** Nothing more comes; what waits is still read. */
  close(): void {
    if (this.#end !== null) return;
    this.#end = {};
    if (this.#wanted === null && this.#queue.length === 0) this.#closeStream();
    this.#wanted?.();
  }

  /** Nothing more comes, and what waits is gone. */
  fail(error: unknown): void {
    if (this.#end !== null) return;
    this.#end = { error };
    this.#queue.clear();
    this.#controller?.error(error);
    this.#wanted?.();
  }

  /** Drops what waited too long. Returns how many that were. */
  #expire(now: number): number {
    const age = this.maxAgeMs;
    if (age === null) return 0;
    const before = this.#queue.length;
    for (
      let { first } = this.#queue;
      first !== undefined && now - first.since > age;
      { first } = this.#queue
    ) {
      this.#queue.shift();
    }
    const gone = before - this.#queue.length;
    this.expired += gone;
    return gone;
  }

  #pull(): Promise<void> | undefined {
    if (this.maxAgeMs !== null) this.#expire(clock.now());
    if (this.#queue.length > 0 || this.#end !== null) {
      this.#handOver();
      return undefined;
    }
    return new Promise<void>((resolve) => {
      this.#wanted = resolve;
    }).then(() => {
      this.#wanted = null;
      this.#handOver();
    });
  }

  #handOver(): void {
    const first = this.#queue.shift();
    if (first !== undefined) this.#enqueue(first.item);
    this.#closeIfOver();
  }

  #enqueue(item: Item): void {
    if (this.#deliver === undefined)
      (this.#controller as ReadableStreamDefaultController<Item>).enqueue(item);
    else this.#deliver(this.#controller as ReadableByteStreamController, item);
  }

  /** The last one was taken, and nothing more comes. */
  #closeIfOver(): void {
    if (this.#queue.length === 0 && this.#end !== null && !('error' in this.#end)) this.#closeStream();
  }

  /** A stream that was cancelled meanwhile is closed already. */
  #closeStream(): void {
    try {
      this.#controller?.close();
      // A reader that brought a buffer of its own gets it back.
      if (this.#deliver !== undefined)
        (this.#controller as ReadableByteStreamController).byobRequest?.respond(0);
    } catch {
      // Nobody reads it any more.
    }
  }
}
