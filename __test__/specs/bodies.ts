import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Response as FastResponse, type H3Request } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { rawGet } from '../harness/raw-request.js';
import { type Folder, withFolder } from '../harness/scratch.js';
import { withServer } from '../harness/stage.js';
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
const KIBIBYTE = 1024;

interface BunGlobal {
  file(path: string, options?: { type: string }): Blob;
}

interface DenoGlobal {
  open(path: string): Promise<{ readonly readable: ReadableStream<Uint8Array> }>;
}

const { Bun: bun, Deno: deno } = globalThis as { Bun?: BunGlobal; Deno?: DenoGlobal };

/** The same fact for both classes of Response. */
function each(name: string, run: (Class: Class) => Promise<void>): Spec[] {
  return Object.entries(CLASSES).map(([kind, Class]) => ({
    name: `${kind} Response: ${name}`,
    run: () => run(Class),
  }));
}

/** A body of each kind that yields "one two", by name. */
const BODIES: Readonly<Record<string, () => unknown>> = {
  'a stream of bytes': () => streamOf(bytes('one '), bytes('two')),
  'a stream of text': () => streamOf('one ', 'two'),
  'a byte stream': () => byteStream('one two', false),
  'a byte stream with buffers of its own': () => byteStream('one two', true),
  'an asynchronous generator': () => generatorOf(bytes('one '), bytes('two')),
  'an asynchronous iterable': () => ({
    [Symbol.asyncIterator]: () => generatorOf(bytes('one '), bytes('two')),
  }),
  'a Node Readable': () => Readable.from([bytes('one '), bytes('two')]),
  'a Blob': () => new Blob(['one ', 'two']),
  'a File': () => new File(['one two'], '/etc/hostname'),
  'an ArrayBuffer': () => bytes('one two').buffer,
  'a view': () => bytes('..one two..').subarray(2, 9),
};

function bytes(text: string): Uint8Array {
  return new Uint8Array(new TextEncoder().encode(text));
}

function streamOf(...chunks: unknown[]): ReadableStream {
  const rest = [...chunks];
  return new ReadableStream({
    async pull(controller) {
      await sleep(1);
      const chunk = rest.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  });
}

function byteStream(text: string, allocates: boolean): ReadableStream {
  const content = bytes(text);
  let at = 0;
  return new ReadableStream({
    type: 'bytes',
    ...(allocates && { autoAllocateChunkSize: 3 }),
    async pull(controller) {
      await sleep(1);
      const view = controller.byobRequest?.view as Uint8Array | null | undefined;
      if (at === content.byteLength) {
        controller.close();
        controller.byobRequest?.respond(0);
      } else if (view) {
        const piece = content.subarray(at, at + view.byteLength);
        new Uint8Array(view.buffer, view.byteOffset).set(piece);
        at += piece.byteLength;
        controller.byobRequest?.respond(piece.byteLength);
      } else {
        controller.enqueue(content.slice(at, at + 3));
        at = Math.min(at + 3, content.byteLength);
      }
    },
  });
}

async function* generatorOf<Chunk>(...chunks: Chunk[]): AsyncGenerator<Chunk> {
  for (const chunk of chunks) {
    await sleep(1);
    yield chunk;
  }
}

/** A body of a gibibyte in pieces, which counts how many were asked for and hears when nobody wants more. */
class Gibibyte {
  static readonly pieceBytes = 16 * KIBIBYTE;
  pieces = 0;
  readonly #returned = deferred();

  async *generate(): AsyncGenerator<Uint8Array> {
    try {
      while (this.pieces < 2 ** 30 / Gibibyte.pieceBytes) {
        this.pieces += 1;
        yield new Uint8Array(Gibibyte.pieceBytes);
      }
    } finally {
      this.#returned.resolve();
    }
  }

  /** Waits for the end of the generator. */
  returned(): Promise<void> {
    return soon('the generator to be ended', this.#returned.promise);
  }
}

/** Runs `run` on Bun, with a folder. */
function onBun(run: (bun: BunGlobal, folder: Folder) => Promise<void>): () => Promise<void> {
  return async () => {
    const global = bun;
    if (global !== undefined) await withFolder((folder) => run(global, folder));
  };
}

export const specs: Spec[] = [
  ...Object.entries(BODIES).flatMap(([name, make]) =>
    each(`${name} is a body`, (Class) =>
      withServer({ fetch: () => new Class(make() as Content) }, async ({ connection }) => {
        const answer = await connection.get();
        assert.equal(answer.error, null);
        assert.equal(answer.text, 'one two');
        assert.equal((await connection.request({ method: 'HEAD' })).length, 0);
      }),
    ),
  ),
  ...each('URLSearchParams and FormData bring their content type', async (Class) => {
    const fetch = ({ url }: H3Request): Response => {
      if (url.endsWith('/params')) return new Class(new URLSearchParams({ a: '1 2', b: 'ü' }));
      const form = new FormData();
      form.set('a', 'ü');
      form.set('file', new File(['content'], 'name.txt', { type: 'text/plain' }));
      return new Class(form);
    };
    await withServer({ fetch }, async ({ connection }) => {
      const params = await connection.get('/params');
      assert.equal(params.text, 'a=1+2&b=%C3%BC');
      assert.equal(params.header('content-type'), 'application/x-www-form-urlencoded;charset=UTF-8');
      const answer = await connection.get('/form');
      const type = answer.header('content-type') as string;
      const form = await new Response(answer.text, { headers: { 'content-type': type } }).formData();
      assert.equal(form.get('a'), 'ü');
      assert.equal(await (form.get('file') as File).text(), 'content');
    });
  }),
  ...each('a client that does not read holds a generator of a gibibyte back, and ends it', async (Class) => {
    const body = new Gibibyte();
    const seen = deferred<H3Request>();
    const fetch = (request: H3Request): Response => {
      seen.resolve(request);
      return new Class(body.generate() as unknown as Content);
    };
    await withServer({ fetch }, async ({ connect }) => {
      const window = 64 * KIBIBYTE;
      const slow = await connect({ streamReceiveWindow: window });
      await slow.open();
      const { signal } = await seen.promise;
      await sleep(200);
      const { pieces } = body;
      // The window of the client, what is handed over before waiting, what is read to send short bodies whole, and a
      // piece in each hand.
      const ahead = Class === Response ? 256 * KIBIBYTE : 0;
      const most = (window + 64 * KIBIBYTE + ahead) / Gibibyte.pieceBytes + 2;
      assert.ok(pieces <= most, `${pieces} pieces were made, ${most} at most`);
      await sleep(100);
      assert.equal(body.pieces, pieces, 'nothing is made meanwhile');
      const aborted = signal.aborted ? null : once(signal, 'abort');
      await slow.close();
      await body.returned();
      if (aborted !== null) await soon('the signal to abort', aborted);
    });
  }),
  ...each('a client that stops reading ends the generator and aborts the signal', async (Class) => {
    const body = new Gibibyte();
    const seen = deferred<H3Request>();
    const fetch = (request: H3Request): Response => {
      seen.resolve(request);
      return new Class(body.generate() as unknown as Content);
    };
    await withServer({ fetch }, async ({ connection, server }) => {
      const stream = await rawGet(connection, server.url);
      const { signal } = await seen.promise;
      await stream.read(100 * KIBIBYTE);
      await stream.stop(H3_REQUEST_CANCELLED);
      await body.returned();
      await until('the signal to abort', () => signal.aborted);
    });
  }),
  ...each(
    'a generator that throws in the middle is a reset: no client takes its part for the whole',
    async (Class) => {
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield bytes('begun');
        await sleep(20);
        throw new Error('out of data');
      }
      const fetch = (): Response => new Class(failing() as unknown as Content);
      await withServer({ fetch }, async ({ connection, log }) => {
        const answer = await connection.get();
        assert.equal(answer.status, 200);
        assert.equal(answer.error?.code, H3_INTERNAL_ERROR);
        await until('the log', () => log.size > 0);
        assert.equal((log.take()[0]?.[1] as Error).message, 'out of data');
      });
    },
  ),
  ...each(
    'a stream of the error handler that may not be sent is cancelled, and the client gets a 500',
    async (Class) => {
      const body = new Gibibyte();
      const headers = { te: 'gzip' };
      const error = (): Response => new Class(body.generate() as unknown as Content, { headers });
      const fetch = (): Response => {
        throw new Error('wanted');
      };
      await withServer({ fetch, error }, async ({ connection }) => {
        assert.equal((await connection.get()).status, 500);
        await body.returned();
      });
    },
  ),
  ...each('events of a stream of text reach the client one by one', async (Class) => {
    const second = deferred();
    const fetch = (): Response => {
      const stream = new ReadableStream({
        async start(controller) {
          controller.enqueue('data: one\n\n');
          await second.promise;
          controller.enqueue('data: two\n\n');
          controller.close();
        },
      });
      return new Class(stream as Content, { headers: { 'content-type': 'text/event-stream' } });
    };
    await withServer({ fetch }, async ({ connection }) => {
      const open = await connection.open();
      assert.equal(open.answer.header('content-type'), 'text/event-stream');
      assert.equal((await open.read(11)).text, 'data: one\n\n');
      second.resolve();
      assert.equal((await open.read()).text, 'data: two\n\n');
    });
  }),
  {
    name: 'exported Response: a generator of text is a stream of events on every runtime',
    async run() {
      const fetch = (): Response =>
        new FastResponse(generatorOf('data: one\n\n', 'data: two\n\n'), {
          headers: { 'content-type': 'text/event-stream' },
        });
      await withServer({ fetch }, async ({ connection }) => {
        assert.equal((await connection.get()).text, 'data: one\n\ndata: two\n\n');
      });
    },
  },
  {
    name: 'exported Response: a large Blob is streamed with its length',
    run: () =>
      withServer(
        { fetch: () => new FastResponse(new Blob(['x'.repeat(3_000_000)])) },
        async ({ connection }) => {
          const answer = await connection.get();
          assert.equal(answer.length, 3_000_000);
          assert.equal(answer.header('content-length'), '3000000');
        },
      ),
  },
  ...each('Bun.file() is a body, and so is a part of it', (Class) =>
    onBun(async (bun, folder) => {
      const path = folder.file('a.txt', '0123456789');
      folder.file('large.bin', new Uint8Array(3_000_000));
      const fetch = ({ url }: H3Request): Response => {
        const name = new URL(url).pathname.slice(1);
        if (name === 'part') return new Class(bun.file(path).slice(2, 5));
        return new Class(bun.file(folder.at(name)));
      };
      await withServer({ fetch }, async ({ connection, log }) => {
        const answer = await connection.get('/a.txt');
        assert.equal(answer.text, '0123456789');
        assert.equal(answer.header('content-type'), 'text/plain;charset=utf-8');
        assert.equal((await connection.get('/part')).text, '234');
        assert.equal((await connection.get('/large.bin')).length, 3_000_000);
        assert.equal((await connection.get('/nothing')).status, 500);
        assert.equal(log.take().length, 1);
      });
    })(),
  ),
  {
    name: 'exported Response: Bun.file() is sent as fileResponse sends it',
    run: onBun(async (bun, folder) => {
      const path = folder.file('a.txt', '0123456789');
      const fetch = (): Response => new FastResponse(bun.file(path, { type: 'text/x-mine' }));
      await withServer({ fetch }, async ({ connection }) => {
        const answer = await connection.get();
        assert.equal(answer.header('content-type'), 'text/x-mine');
        assert.equal(answer.header('content-length'), '10');
        const etag = answer.header('etag') as string;
        assert.equal((await connection.get('/', { headers: [['if-none-match', etag]] })).status, 304);
        assert.equal((await connection.get('/', { headers: [['range', 'bytes=1-2']] })).text, '12');
      });
    }),
  },
  ...each('a File that a client has uploaded is never taken for the file its name says', (Class) =>
    withFolder(async (folder) => {
      const path = folder.file('secret.txt', 'secret');
      const fetch = async (request: H3Request): Promise<Response> => {
        const file = (await request.formData()).get('file') as File;
        // On Bun the name of a Blob can be assigned to.
        if (request.url.endsWith('/named')) Object.assign(file, { name: path });
        return new Class(file);
      };
      await withServer({ fetch }, async ({ connection }) => {
        for (const content of ['upload', '']) {
          const form = new FormData();
          form.set('file', new File([content], path));
          const request = new Request('https://localhost/', { method: 'POST', body: form });
          const type = request.headers.get('content-type') as string;
          const body = new Uint8Array(await request.arrayBuffer());
          for (const where of ['/', ...(bun === undefined ? [] : ['/named'])]) {
            const headers = [['content-type', type]] as const;
            const answer = await connection.request({ method: 'POST', path: where, headers, body });
            assert.deepEqual([answer.status, answer.text], [200, content]);
          }
        }
      });
    }),
  ),
  ...each('a file that Deno opened is a body', async (Class) => {
    const global = deno;
    if (global === undefined) return;
    await withFolder(async (folder) => {
      const path = folder.file('a.bin', new Uint8Array(1_000_000).fill(7));
      const fetch = async (): Promise<Response> => new Class((await global.open(path)).readable);
      await withServer({ fetch }, async ({ connection }) => {
        assert.equal((await connection.get()).length, 1_000_000);
      });
    });
  }),
];
