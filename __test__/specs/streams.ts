import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Response as FastResponse, type H3Request, isH3Error } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { rawGet } from '../harness/raw-request.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

type Class = typeof Response;
type Content = ConstructorParameters<Class>[0];

/** The runtime's Response and the one of this package. */
const CLASSES: Readonly<Record<string, Class>> = {
  global: Response,
  exported: FastResponse as unknown as Class,
};

const H3_INTERNAL_ERROR = 0x102;
const H3_REQUEST_CANCELLED = 0x10c;

/** The same fact for both classes of Response. */
function each(name: string, run: (Class: Class) => Promise<void>): Spec[] {
  return Object.entries(CLASSES).map(([kind, Class]) => ({
    name: `${kind} Response: ${name}`,
    run: () => run(Class),
  }));
}

/** A stream whose producer counts what is asked of it and hears when nobody wants more. */
class Producer {
  pulls = 0;
  readonly #cancelled = deferred<unknown>();
  readonly stream: ReadableStream<Uint8Array>;

  /** `chunks` are made of `size` bytes each, after `pauseMs` each. */
  constructor(chunks: number, size: number, pauseMs = 0) {
    this.stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        if (pauseMs > 0) await sleep(pauseMs);
        if (this.pulls === chunks) {
          controller.close();
          return;
        }
        controller.enqueue(new Uint8Array(size).fill(this.pulls & 0xff));
        this.pulls += 1;
      },
      cancel: (reason) => this.#cancelled.resolve(reason),
    });
  }

  /** The reason of the cancellation, when it comes. */
  cancelled(): Promise<unknown> {
    return soon('the producer to be cancelled', this.#cancelled.promise);
  }

  /** SHA-256 of all chunks. */
  static sha256(chunks: number, size: number): string {
    const hash = createHash('sha256');
    for (let chunk = 0; chunk < chunks; chunk++) hash.update(new Uint8Array(size).fill(chunk & 0xff));
    return hash.digest('hex');
  }
}

/** Runs `run` with a server that answers with one stream, and that stream's producer. */
function withProducer(
  Class: Class,
  producer: Producer,
  run: (stage: Stage, request: Promise<H3Request>) => Promise<void>,
  limits = {},
): Promise<void> {
  const seen = deferred<H3Request>();
  const fetch = (request: H3Request): Response => {
    if (request.url.endsWith('/ping')) return new Response('pong');
    seen.resolve(request);
    return new Class(producer.stream as Content);
  };
  return withServer({ fetch, limits }, (stage) => run(stage, seen.promise));
}

async function* words(...parts: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const part of parts) {
    await sleep(1);
    yield part;
  }
}

export const specs: Spec[] = [
  ...each('a stream arrives whole and in order', (Class) =>
    withProducer(Class, new Producer(40, 1000), async ({ connection }) => {
      const answer = await connection.get();
      assert.equal(answer.error, null);
      assert.equal(answer.length, 40_000);
      assert.equal(answer.sha256, Producer.sha256(40, 1000));
    }),
  ),
  ...each(
    'a slow stream arrives piece by piece: its head and first piece do not wait for the rest',
    async (Class) => {
      const rest = deferred();
      const stream = new ReadableStream<Uint8Array>({
        async start(controller) {
          controller.enqueue(new TextEncoder().encode('first'));
          await rest.promise;
          controller.enqueue(new TextEncoder().encode('second'));
          controller.close();
        },
      });
      await withServer({ fetch: () => new Class(stream as Content) }, async ({ connection }) => {
        const open = await connection.open();
        assert.equal(open.answer.status, 200);
        assert.equal((await open.read(5)).text, 'first');
        rest.resolve();
        const end = await open.read();
        assert.equal(end.text, 'second');
        assert.ok(end.ended);
      });
    },
  ),
  ...each('an empty stream is an empty body', (Class) =>
    withProducer(Class, new Producer(0, 0, 5), async ({ connection }) => {
      const answer = await connection.get();
      assert.equal(answer.length, 0);
      assert.ok(answer.ended);
      assert.equal(answer.error, null);
    }),
  ),
  ...each('20 MB arrive whole', (Class) =>
    withProducer(Class, new Producer(320, 64 * 1024), async ({ connection }) => {
      const answer = await connection.request({ patienceMs: 20_000 });
      assert.equal(answer.length, 320 * 64 * 1024);
      assert.equal(answer.sha256, Producer.sha256(320, 64 * 1024));
    }),
  ),
  ...each('one chunk of 5 MB arrives whole', (Class) =>
    withProducer(Class, new Producer(1, 5_000_000, 1), async ({ connection }) => {
      const answer = await connection.request({ patienceMs: 20_000 });
      assert.equal(answer.sha256, Producer.sha256(1, 5_000_000));
    }),
  ),
  ...each('a stream that fails half-way is a reset, never a body that looks whole', async (Class) => {
    let pulls = 0;
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        pulls += 1;
        // A reset takes along what its receiver has not read yet.
        await sleep(pulls === 4 ? 200 : 2);
        if (pulls === 4) controller.error(new Error('the disk failed'));
        else controller.enqueue(new Uint8Array(100));
      },
    });
    await withServer({ fetch: () => new Class(stream as Content) }, async ({ connection, log }) => {
      const answer = await connection.get();
      assert.equal(answer.status, 200);
      assert.deepEqual([answer.error?.kind, answer.error?.code], ['reset', H3_INTERNAL_ERROR]);
      await until('the log entry', () => {
        const entries = log.take();
        return entries.length === 1 && /the disk failed/.test(String(entries[0]?.[1]));
      });
    });
  }),
  ...each('a stream that fails before its first chunk is a 500 or a reset', async (Class) => {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.error(new Error('no disk'));
      },
    });
    await withServer({ fetch: () => new Class(stream as Content) }, async ({ connection, log }) => {
      const answer = await connection.get();
      if (answer.error === null) assert.equal(answer.status, 500);
      else assert.equal(answer.error.code, H3_INTERNAL_ERROR);
      await until('the log entry', () => log.take().length === 1);
    });
  }),
  ...each(
    'a chunk that is no bytes is a reset and a log entry, and the producer is cancelled',
    async (Class) => {
      const cancelled = deferred();
      const fetch = (): Response => {
        const stream = new ReadableStream({
          async pull(controller) {
            await sleep(2);
            controller.enqueue(42);
          },
          cancel: () => cancelled.resolve(),
        });
        return new Class(stream as unknown as Content);
      };
      await withServer({ fetch }, async ({ connection, log }) => {
        const answer = await connection.get();
        assert.equal(answer.error?.code, H3_INTERNAL_ERROR);
        await soon('the producer to be cancelled', cancelled.promise);
        assert.match(String(log.take()[0]?.[1]), /expected a Uint8Array or a string/);
      });
    },
  ),
  ...each('a client that stops reading cancels the producer and aborts the request', async (Class) => {
    const producer = new Producer(Number.POSITIVE_INFINITY, 10_000, 1);
    await withProducer(Class, producer, async ({ connection, server }, request) => {
      const stream = await rawGet(connection, server.url);
      const { signal } = await request;
      await stream.read(30_000);
      await stream.stop(H3_REQUEST_CANCELLED);
      const reason = await producer.cancelled();
      assert.ok(isH3Error(reason));
      assert.equal(reason.wireCode, H3_REQUEST_CANCELLED);
      await until('the signal to abort', () => signal.aborted);
      assert.equal((await connection.get('/ping')).text, 'pong');
    });
  }),
  ...each('a client that closes its connection cancels the producer', async (Class) => {
    const producer = new Producer(Number.POSITIVE_INFINITY, 1000, 2);
    await withProducer(Class, producer, async ({ connection }) => {
      const open = await connection.open();
      await open.read(1);
      await connection.close();
      const reason = await producer.cancelled();
      assert.equal(isH3Error(reason) && reason.code, 'ERR_H3_CONNECTION_CLOSED');
    });
  }),
  ...each('a client that vanishes cancels the producer', async (Class) => {
    const producer = new Producer(Number.POSITIVE_INFINITY, 1000, 2);
    await withProducer(
      Class,
      producer,
      async ({ connection }) => {
        const open = await connection.open();
        await open.read(1);
        await connection.vanish();
        const reason = await producer.cancelled();
        assert.equal(isH3Error(reason) && reason.code, 'ERR_H3_CONNECTION_CLOSED');
      },
      { idleTimeoutMs: 300 },
    );
  }),
  ...each('a server that stops by force cancels the producer', async (Class) => {
    const producer = new Producer(Number.POSITIVE_INFINITY, 1000, 2);
    await withProducer(Class, producer, async ({ connection, server }) => {
      const open = await connection.open();
      await open.read(1);
      await soon('stop(true)', server.stop(true));
      await producer.cancelled();
    });
  }),
  ...each('a client that does not read holds its producer back, and nobody else', async (Class) => {
    const chunk = 16 * 1024;
    const producer = new Producer(4000, chunk);
    await withProducer(Class, producer, async ({ connect, connection }) => {
      const slow = await connect({ streamReceiveWindow: 64 * 1024 });
      const open = await slow.open();
      await sleep(300);
      const pulled = producer.pulls;
      assert.ok(pulled < 64, `${pulled} chunks of 16 KiB were pulled for a window of 64 KiB`);
      assert.equal((await connection.get('/ping')).text, 'pong', 'another connection is served');
      assert.equal((await slow.get('/ping')).text, 'pong', 'so is another request of this one');
      await sleep(200);
      assert.equal(producer.pulls, pulled, 'nothing is pulled meanwhile');
      assert.ok((await open.read(40 * chunk)).length >= 40 * chunk);
      await until('the producer to go on', () => producer.pulls > pulled);
      await slow.close();
      await producer.cancelled();
    });
  }),
  ...each('a stream for HEAD is cancelled unread', async (Class) => {
    const producer = new Producer(Number.POSITIVE_INFINITY, 1000, 1);
    await withProducer(Class, producer, async ({ connection }) => {
      const answer = await connection.request({ method: 'HEAD' });
      assert.equal(answer.length, 0);
      await producer.cancelled();
      assert.ok(producer.pulls < 64, `${producer.pulls} chunks were made for nobody`);
    });
  }),
  ...each('a streamed body shorter or longer than its content-length is a reset', async (Class) => {
    for (const length of [2999, 3001]) {
      const producer = new Producer(3, 1000, 2);
      const headers = { 'content-length': `${length}` };
      const fetch = (): Response => new Class(producer.stream as Content, { headers });
      await withServer({ fetch }, async ({ connection }) => {
        const answer = await connection.get();
        // The reset may overtake the head.
        assert.equal(
          answer.error?.code,
          H3_INTERNAL_ERROR,
          `content-length ${length}, ${answer.length} bytes came`,
        );
      });
    }
  }),
  ...each('a streamed body of the length that content-length says is whole', async (Class) => {
    const producer = new Producer(3, 1000, 2);
    const fetch = (): Response =>
      new Class(producer.stream as Content, { headers: { 'content-length': '3000' } });
    await withServer({ fetch }, async ({ connection }) => {
      const answer = await connection.get();
      assert.equal(answer.header('content-length'), '3000');
      assert.equal(answer.length, 3000);
      assert.equal(answer.error, null);
    });
  }),
  ...each(
    'a streamed answer with a header that HTTP/3 forbids is a 500, and its producer is cancelled',
    async (Class) => {
      const producer = new Producer(Number.POSITIVE_INFINITY, 20_000, 1);
      const fetch = (): Response => new Class(producer.stream as Content, { headers: { te: 'gzip' } });
      await withServer({ fetch }, async ({ connection, log }) => {
        assert.equal((await connection.get()).status, 500);
        await producer.cancelled();
        log.take();
      });
    },
  ),
  ...each('fifty streams at once are not mixed up', async (Class) => {
    const fetch = ({ url }: H3Request): Response => {
      const n = Number(new URL(url).pathname.slice(1));
      let left = 20;
      const stream = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await sleep(1);
          left -= 1;
          controller.enqueue(new Uint8Array(100).fill(n));
          if (left === 0) controller.close();
        },
      });
      return new Class(stream as Content);
    };
    await withServer({ fetch }, async ({ connection }) => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => connection.get(`/${n}`)));
      for (const [n, answer] of answers.entries()) {
        assert.equal(answer.length, 2000);
        assert.ok(answer.bytes.every((byte) => byte === n));
      }
    });
  }),
  {
    name: 'exported Response: an asynchronous generator is a body of text and bytes',
    run: () =>
      withServer(
        { fetch: () => new FastResponse(words('a', new Uint8Array([0x62]), 'ü', '')) },
        async ({ connection }) => {
          assert.equal((await connection.get()).text, 'abü');
        },
      ),
  },
  {
    name: 'exported Response: finally of a generator runs when the client goes away',
    async run() {
      const ended = deferred();
      async function* forever(): AsyncGenerator<string> {
        try {
          for (;;) {
            await sleep(2);
            yield 'more '.repeat(100);
          }
        } finally {
          ended.resolve();
        }
      }
      await withServer({ fetch: () => new FastResponse(forever()) }, async ({ connection, server }) => {
        const stream = await rawGet(connection, server.url);
        await stream.read(1000);
        await stream.stop(H3_REQUEST_CANCELLED);
        await soon('the finally block', ended.promise);
      });
    },
  },
  {
    name: 'exported Response: a Node Readable is a body, destroyed when the client goes away',
    async run() {
      const readables = new Map<string, Readable>();
      const fetch = ({ url }: H3Request): Response => {
        const readable = url.endsWith('/forever')
          ? Readable.from(words(...Array<string>(100_000).fill('x'.repeat(99))))
          : Readable.from(words('a', 'b'));
        readables.set(new URL(url).pathname, readable);
        return new FastResponse(readable);
      };
      await withServer({ fetch }, async ({ connection, server }) => {
        assert.equal((await connection.get('/short')).text, 'ab');
        const stream = await rawGet(connection, server.url, '/forever');
        await stream.read(500);
        await stream.stop(H3_REQUEST_CANCELLED);
        await until('the Readable to be destroyed', () => readables.get('/forever')?.destroyed === true);
      });
    },
  },
];
