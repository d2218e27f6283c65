import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Response as FastResponse,
  fileResponse,
  type H3Request,
  isH3Error,
  type Trailers,
  withTrailers,
} from 'trilane';
import type { OpenRequest } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { getHeaders } from '../harness/raw-request.js';
import { REQUEST_KINDS, type RequestKind, type Stage, withServer } from '../harness/stage.js';
import { fieldSection, frame, HEADERS } from '../harness/wire.js';
import type { Spec } from './spec.js';

type Class = typeof Response;

/** The runtime's Response and the one of this package. */
const CLASSES: Readonly<Record<string, Class>> = {
  global: Response,
  exported: FastResponse as unknown as Class,
};

const H3_MESSAGE_ERROR = 0x10e;
const H3_INTERNAL_ERROR = 0x102;

/** The same fact for both classes of Response. */
function each(name: string, run: (Class: Class) => Promise<void>): Spec[] {
  return Object.entries(CLASSES).map(([kind, Class]) => ({
    name: `${kind} Response: ${name}`,
    run: () => run(Class),
  }));
}

/** The same fact for both kinds of request. */
function both(name: string, run: (request: RequestKind) => Promise<void>): Spec[] {
  return REQUEST_KINDS.map((request) => ({ name: `${request}: ${name}`, run: () => run(request) }));
}

/** What a promise came to. */
async function outcome(promise: Promise<Headers>): Promise<unknown> {
  try {
    return [...(await soon('the trailers to settle', promise))];
  } catch (error) {
    return error;
  }
}

/** A fact about trailers behind an unfinished body: they reject with this code. */
function rejects(
  name: string,
  code: string,
  act: (stage: Stage, open: OpenRequest, request: H3Request) => unknown,
  { reads = true, limits = {} } = {},
): Spec[] {
  return both(`trailers reject with ${code} if ${name}`, async (request) => {
    const seen = deferred<H3Request>();
    const release = deferred();
    const fetch = async (incoming: H3Request): Promise<Response> => {
      seen.resolve(incoming);
      if (reads) await incoming.text().catch(() => undefined);
      else await release.promise;
      return new Response('done');
    };
    await withServer({ request, fetch, mode: 'streaming', limits }, async (stage) => {
      const open = await stage.connection.open({
        method: 'POST',
        body: 'begun',
        keepOpen: true,
        read: 'none',
      });
      const incoming = await soon('the request', seen.promise);
      const settled = outcome(incoming.trailers);
      await act(stage, open, incoming);
      release.resolve();
      const error = await settled;
      assert.ok(isH3Error(error), `they came to ${String(error)}`);
      assert.equal(error.code, code);
      assert.equal(incoming.trailers, incoming.trailers);
    });
  });
}

/** An answer of `Class` with these trailers, as the peer got it. */
async function answered(
  respond: (request: H3Request) => Response | Promise<Response>,
  check: (stage: Stage) => Promise<void>,
): Promise<void> {
  await withServer({ fetch: respond }, check);
}

async function* words(): AsyncGenerator<string> {
  yield 'one ';
  await sleep(2);
  yield 'two';
}

export const specs: Spec[] = [
  ...both('trailers of a buffered request come with it', (request) =>
    withServer(
      {
        request,
        fetch: async (incoming) => Response.json([await incoming.text(), [...(await incoming.trailers)]]),
        routes: [{ method: 'POST', pattern: '/:a/:b', fetch: async (r) => Response.json(await entries(r)) }],
      },
      async ({ connection }) => {
        const post = { method: 'POST', body: 'content' };
        const trailers = [
          ['x-a', '1'],
          ['x-b', 'two'],
          ['x-a', '3'],
        ] as const;
        const expected = [
          ['x-a', '1, 3'],
          ['x-b', 'two'],
        ];
        assert.deepEqual((await connection.request({ ...post, trailers })).json, ['content', expected]);
        assert.deepEqual((await connection.request(post)).json, ['content', []]);
        // With parameters, and beside other requests of the same batch.
        const answers = await Promise.all([
          connection.request({ ...post, path: '/x/y', trailers }),
          connection.request({ ...post, path: '/x/y' }),
          connection.request({ ...post, path: '/z/z', trailers: [['x-c', '']] }),
        ]);
        assert.deepEqual(
          answers.map((answer) => answer.json),
          [
            ['x', 'y', expected],
            ['x', 'y', []],
            ['z', 'z', [['x-c', '']]],
          ],
        );
      },
    ),
  ),
  ...both(
    'trailers of a streamed request come when its body has been read to the end, and not before',
    (request) =>
      withServer(
        {
          request,
          mode: 'streaming',
          async fetch(incoming) {
            let settled = false;
            const trailers = incoming.trailers.then((headers) => {
              settled = true;
              return [...headers];
            });
            const reader = incoming.body?.getReader();
            await reader?.read();
            await sleep(20);
            const early = settled;
            while ((await reader?.read())?.done === false);
            return Response.json([early, await trailers]);
          },
        },
        async ({ connection }) => {
          const open = await connection.open({ method: 'POST', body: 'one', keepOpen: true, read: 'none' });
          await open.send('two', false);
          await open.finish([['x-sum', '7']]);
          assert.deepEqual((await open.read()).json, [false, [['x-sum', '7']]]);
          assert.deepEqual((await connection.request({ method: 'POST', body: 'x' })).json, [false, []]);
        },
      ),
  ),
  ...both('a streamed request without a body has empty trailers', (request) =>
    withServer(
      {
        request,
        mode: 'streaming',
        async fetch(incoming) {
          // The client may not have said yet that there is none.
          await incoming.text();
          return Response.json([...(await incoming.trailers)]);
        },
      },
      async ({ connection }) => assert.deepEqual((await connection.get()).json, []),
    ),
  ),
  ...rejects('the client resets', 'ERR_H3_STREAM_RESET', (_, open) => open.cancel()),
  ...rejects('the connection is closed', 'ERR_H3_CONNECTION_CLOSED', ({ connection }) => connection.close()),
  ...rejects('the client vanishes', 'ERR_H3_CONNECTION_CLOSED', ({ connection }) => connection.vanish(), {
    limits: { idleTimeoutMs: 300 },
  }),
  ...rejects('the server is stopped', 'ERR_H3_CONNECTION_CLOSED', ({ server }) => server.stop(true)),
  ...rejects('nobody reads the body, and the request is answered', 'ERR_H3_STREAM_RESET', () => undefined, {
    reads: false,
  }),
  ...rejects('the body is cancelled', 'ERR_H3_STREAM_RESET', (_, __, request) => request.body?.cancel(), {
    reads: false,
  }),
  ...both('trailers that nobody looks at reject in silence', async (request) => {
    const began = deferred();
    const ended = deferred();
    const fetch = async (incoming: H3Request): Promise<Response> => {
      if (incoming.method === 'GET') return new Response('alive');
      began.resolve();
      void incoming.trailers;
      await incoming.text().catch(() => undefined);
      ended.resolve();
      return new Response('done');
    };
    await withServer({ request, fetch, mode: 'streaming' }, async ({ connection }) => {
      const open = await connection.open({ method: 'POST', body: 'begun', keepOpen: true, read: 'none' });
      await soon('the request', began.promise);
      await open.cancel();
      await soon('the end of the body', ended.promise);
      // An unhandled rejection ends the process of the spec.
      await sleep(50);
      assert.equal((await connection.get()).text, 'alive');
    });
  }),
  ...(['buffered', 'streaming'] as const).map((mode) => ({
    // RFC 9114 §4.1.2, §4.3; RFC 9110 §6.5.1
    name: `${mode}: malformed trailers reset their stream with H3_MESSAGE_ERROR, and the connection lives`,
    async run() {
      const ends: unknown[] = [];
      const fetch = async (incoming: H3Request): Promise<Response> => {
        if (incoming.method === 'GET') return new Response('alive');
        ends.push(await incoming.text().catch((error: unknown) => isH3Error(error) && error.code));
        return new Response('done');
      };
      await withServer({ fetch, mode }, async ({ server, connection }) => {
        const bad = [':status', 'content-length', 'host', 'connection', 'Upper'];
        for (const name of bad) {
          const stream = await connection.openStream();
          const head = getHeaders(server.url).map(([key, value]) => [
            key,
            key === ':method' ? 'POST' : value,
          ]);
          await stream.write({ headers: head as [string, string][] });
          await stream.write({ bytes: frame(HEADERS, fieldSection([[name, '1']])), fin: true });
          assert.equal((await stream.read()).resetCode, H3_MESSAGE_ERROR, name);
        }
        const expected = mode === 'streaming' ? bad.length : 0;
        await until('every body to end', () => ends.length === expected);
        assert.deepEqual(ends, mode === 'streaming' ? bad.map(() => 'ERR_H3_PROTOCOL') : []);
        assert.equal((await connection.get()).text, 'alive');
        assert.equal(server.getStats().requestsMalformed, BigInt(bad.length));
      });
    },
  })),
  ...each('trailers follow every kind of body', async (Class) => {
    const bodies: Record<string, () => ConstructorParameters<Class>[0]> = {
      '/text': () => 'one two',
      '/bytes': () => new TextEncoder().encode('one two'),
      '/blob': () => new Blob(['one two']),
      '/stream': () =>
        new ReadableStream({
          async start(controller) {
            controller.enqueue(new TextEncoder().encode('one '));
            await sleep(2);
            controller.enqueue(new TextEncoder().encode('two'));
            controller.close();
          },
        }),
      '/large': () => 'x'.repeat(600_000),
      '/null': () => null,
    };
    const fetch = (request: H3Request): Response => {
      const { pathname } = new URL(request.url);
      return withTrailers(new Class(bodies[pathname]?.()), { 'x-sum': pathname });
    };
    await answered(fetch, async ({ connection, server }) => {
      for (const path of Object.keys(bodies)) {
        const answer = await connection.get(path);
        assert.deepEqual(answer.trailers, [['x-sum', path]], path);
        assert.ok(answer.ended);
        assert.equal(answer.error, null);
        if (path === '/large') assert.equal(answer.length, 600_000);
        else assert.equal(answer.text, path === '/null' ? '' : 'one two');
        // What a runtime's own Response gives as a stream has no length.
        if (['/text', '/bytes', '/null'].includes(path))
          assert.equal(answer.header('content-length'), `${answer.length}`, path);
      }
      assert.equal(server.getStats().handlerErrors, 0n);
    });
  }),
  ...each('trailers come from a record, pairs, Headers, promises and functions', async (Class) => {
    const sources: Record<string, Trailers> = {
      '/record': { 'X-A': '1' },
      '/pairs': [['x-a', '1']],
      '/headers': new Headers({ 'x-a': '1' }),
      '/promise': sleep(5).then(() => ({ 'x-a': '1' })),
      '/function': () => ({ 'x-a': '1' }),
      '/async': async () => {
        await sleep(5);
        return new Headers([['x-a', '1']]);
      },
    };
    const fetch = (request: H3Request): Response =>
      withTrailers(new Class('body'), sources[new URL(request.url).pathname] as Trailers);
    await answered(fetch, async ({ connection }) => {
      for (const path of Object.keys(sources)) {
        const { trailers } = await connection.get(path);
        assert.deepEqual(trailers, [['x-a', '1']], path);
      }
    });
  }),
  {
    name: 'trailers follow a file, which is then sent whole',
    async run() {
      const file = new URL('../../package.json', import.meta.url);
      const fetch = (): Response => withTrailers(fileResponse(file), { 'x-sum': 'file' });
      await answered(fetch, async ({ connection }) => {
        const answer = await connection.get('/', { headers: [['range', 'bytes=0-1']] });
        assert.equal(answer.status, 200);
        assert.equal(answer.text, readFileSync(file, 'utf8'));
        assert.equal(answer.header('content-type'), 'application/json');
        assert.deepEqual(answer.trailers, [['x-sum', 'file']]);
      });
    },
  },
  {
    name: 'a function for trailers runs once, when the last piece of the body is on its way',
    async run() {
      const steps: string[] = [];
      const body = async function* (): AsyncGenerator<string> {
        yield* words();
        steps.push('body');
      };
      const fetch = (): Response =>
        withTrailers(new FastResponse(body()), () => {
          steps.push('trailers');
          return { 'x-n': `${steps.length}` };
        });
      await answered(fetch, async ({ connection }) => {
        assert.deepEqual((await connection.get()).trailers, [['x-n', '2']]);
        assert.deepEqual(steps, ['body', 'trailers']);
      });
    },
  },
  ...each('empty trailers are none, and several fields of one name are kept apart', async (Class) => {
    const fetch = (request: H3Request): Response =>
      withTrailers(
        new Class('body'),
        request.url.endsWith('/none')
          ? {}
          : [
              ['x-a', '1'],
              ['x-a', '2'],
            ],
      );
    await answered(fetch, async ({ connection }) => {
      assert.equal((await connection.get('/none')).trailers, null);
      assert.deepEqual((await connection.get('/')).trailers, [
        ['x-a', '1'],
        ['x-a', '2'],
      ]);
    });
  }),
  ...each('answers without content have no trailers, and nobody is asked for them', async (Class) => {
    let asked = 0;
    const fetch = (request: H3Request): Response => {
      const status = Number(new URL(request.url).pathname.slice(1));
      return withTrailers(new Class(status === 200 ? 'body' : null, { status }), () => {
        asked += 1;
        return { 'x-a': '1' };
      });
    };
    await answered(fetch, async ({ connection }) => {
      for (const [method, path] of [
        ['HEAD', '/200'],
        ['GET', '/204'],
        ['GET', '/304'],
      ] as const) {
        const answer = await connection.request({ method, path });
        assert.equal(answer.trailers, null, `${method} ${path}`);
        assert.ok(answer.ended);
      }
      assert.equal(asked, 0);
    });
  }),
  {
    // RFC 9110 §6.5.1
    name: 'fields that may not be trailers are refused at once with ERR_H3_HEADER, and the error handler answers',
    async run() {
      const fields = [
        'content-length',
        'Set-Cookie',
        'host',
        'connection',
        ':status',
        'te',
        'trailer',
        'a b',
      ];
      const codes: unknown[] = [];
      await withServer(
        {
          fetch: (request) =>
            withTrailers(new Response('x'), [
              [decodeURIComponent(new URL(request.url).search.slice(1)), '1'],
            ]),
          error(error) {
            codes.push((error as { code?: string }).code);
            return new Response('refused', { status: 500 });
          },
        },
        async ({ connection, server }) => {
          for (const name of fields) {
            const answer = await connection.get(`/?${encodeURIComponent(name)}`);
            assert.equal(answer.text, 'refused', name);
            assert.equal(answer.trailers, null);
          }
          assert.deepEqual(
            codes,
            fields.map(() => 'ERR_H3_HEADER'),
          );
          assert.equal(server.getStats().handlerErrors, BigInt(fields.length));
        },
      );
      assert.throws(() => withTrailers(null as unknown as Response, {}), { code: 'ERR_H3_RESPONSE_TYPE' });
      assert.throws(() => withTrailers(new Response(), 7 as never), { code: 'ERR_H3_HEADER' });
    },
  },
  ...each('trailers that fail reset the stream: the answer never looks whole', async (Class) => {
    const failures: Record<string, Trailers> = {
      '/rejected': () => Promise.reject(new Error('no sum')),
      '/thrown': () => {
        throw new Error('no sum');
      },
      '/forbidden': () => ({ 'content-length': '1' }),
    };
    const fetch = (request: H3Request): Response => {
      const { pathname } = new URL(request.url);
      if (pathname === '/promise') {
        return withTrailers(new Class('body'), Promise.reject(new Error('no sum')));
      }
      return withTrailers(new Class('body'), failures[pathname] as Trailers);
    };
    await answered(fetch, async ({ connection, log, server }) => {
      for (const path of ['/promise', ...Object.keys(failures)]) {
        const answer = await connection.get(path);
        assert.equal(answer.error?.code, H3_INTERNAL_ERROR, path);
        assert.equal(log.take().length, 1, path);
      }
      assert.equal(server.getStats().handlerErrors, 4n);
    });
  }),
  {
    name: 'a client that goes away while trailers are awaited aborts the request, in silence',
    async run() {
      const asked = deferred();
      const trailers = deferred<Record<string, string>>();
      const aborted = deferred();
      const fetch = (request: H3Request): Response => {
        if (request.url.endsWith('/ping')) return new Response('pong');
        request.signal.addEventListener('abort', () => aborted.resolve());
        return withTrailers(new Response('body'), () => {
          asked.resolve();
          return trailers.promise;
        });
      };
      await answered(fetch, async ({ connection, server }) => {
        const open = await connection.open({ read: 'headers' });
        await soon('the trailers to be asked for', asked.promise);
        await open.cancel();
        await soon('the abort', aborted.promise);
        trailers.resolve({ 'x-late': '1' });
        assert.equal((await connection.get('/ping')).text, 'pong');
        assert.equal(server.getStats().handlerErrors, 0n);
      });
    },
  },
];

async function entries(request: H3Request<{ a: string; b: string }>): Promise<unknown> {
  return [request.params.a, request.params.b, [...(await request.trailers)]];
}
