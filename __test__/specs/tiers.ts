import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, Response as FastResponse, type H3Server, withTrailers } from 'trilane';
import { Connection } from '../harness/connection.js';
import { until } from '../harness/deadline.js';
import { getHeaders } from '../harness/raw-request.js';
import { withServer } from '../harness/stage.js';
import { DATA, fieldSection, frame, HEADERS } from '../harness/wire.js';
import type { Spec } from './spec.js';

const H3_FRAME_UNEXPECTED = 0x105;
const H3_INTERNAL_ERROR = 0x102;
const H3_MESSAGE_ERROR = 0x10e;
const SECRET = 'swordfish';

/** The counters of the tiers: what handlers, requests and connections did wrong. */
function counted(server: H3Server): Record<string, number> {
  const { handlerErrors, requestsMalformed, protocolErrors } = server.getStats();
  return {
    handlerErrors: Number(handlerErrors),
    requestsMalformed: Number(requestsMalformed),
    protocolErrors: Number(protocolErrors),
  };
}

const NOTHING = { handlerErrors: 0, requestsMalformed: 0, protocolErrors: 0 };

async function* failing(): AsyncGenerator<string> {
  yield 'begun';
  await sleep(1);
  throw new Error(SECRET);
}

export const specs: Spec[] = [
  {
    name: 'usage: a mistake in the call is thrown at once with its code, and nothing is left that could count it',
    run() {
      const fetch = (): Response => new Response('never');
      assert.throws(() => createH3Server({ fetch, port: 70_000 }), {
        name: 'RangeError',
        code: 'ERR_H3_OPTION_RANGE',
      });
      assert.throws(() => createH3Server({ fetch, prot: 1 } as never), {
        name: 'TypeError',
        code: 'ERR_H3_OPTION_UNKNOWN',
      });
      assert.throws(() => withTrailers(new FastResponse(), { date: 'now' }), {
        name: 'TypeError',
        code: 'ERR_H3_HEADER',
      });
    },
  },
  {
    name: 'handler: what it throws, or gives that cannot be sent, is counted and logged, and nothing of it leaks',
    async run() {
      const handlers: Record<string, () => unknown> = {
        '/throws': () => {
          throw new Error(SECRET);
        },
        '/rejects': () => Promise.reject(new Error(SECRET)),
        '/no-response': () => ({ secret: SECRET }),
        '/forbidden-field': () => new Response(null, { headers: { connection: SECRET } }),
        '/wrong-length': () => new Response('x', { headers: { 'content-length': '7' } }),
      };
      const late: Record<string, () => unknown> = {
        '/stream': () => new FastResponse(failing()),
        '/trailers': () => withTrailers(new FastResponse('x'), () => Promise.reject(new Error(SECRET))),
      };
      const fetch = (request: Request): Response => {
        const { pathname } = new URL(request.url);
        return (handlers[pathname] ?? late[pathname] ?? (() => new Response('fine')))() as Response;
      };
      await withServer({ fetch }, async ({ connection, log, server }) => {
        let failures = 0;
        for (const path of Object.keys(handlers)) {
          const answer = await connection.get(path);
          assert.deepEqual([answer.status, answer.text], [500, 'Internal Server Error'], path);
          assert.doesNotMatch(JSON.stringify(answer.headers), /swordfish/);
          failures += 1;
        }
        for (const path of Object.keys(late)) {
          const { error } = await connection.get(path);
          assert.equal(error?.code, H3_INTERNAL_ERROR, path);
          assert.doesNotMatch(JSON.stringify(error), /swordfish/);
          failures += 1;
        }
        assert.equal((await connection.get('/')).text, 'fine');
        assert.deepEqual(counted(server), { ...NOTHING, handlerErrors: failures });
        assert.equal(log.take().length, failures);
      });
    },
  },
  {
    name: 'handler: a failing error handler counts as well, a failure it answers counts once',
    run: () =>
      withServer(
        {
          fetch: (request) => {
            throw new Error(new URL(request.url).pathname);
          },
          error(error) {
            if ((error as Error).message === '/twice') throw new Error(SECRET);
            return new Response('handled', { status: 503 });
          },
        },
        async ({ connection, log, server }) => {
          assert.equal((await connection.get('/once')).text, 'handled');
          assert.deepEqual(counted(server), { ...NOTHING, handlerErrors: 1 });
          assert.equal((await connection.get('/twice')).text, 'Internal Server Error');
          assert.deepEqual(counted(server), { ...NOTHING, handlerErrors: 3 });
          assert.equal(log.take().length, 1);
        },
      ),
  },
  {
    // RFC 9114 §4.1.2
    name: 'stream: a malformed request is reset and counted, no handler runs, nothing is logged, and the connection lives',
    async run() {
      let handled = 0;
      const fetch = (): Response => {
        handled += 1;
        return new Response('fine');
      };
      await withServer({ fetch }, async ({ connection, server }) => {
        const stream = await connection.openStream();
        await stream.write({ headers: [...getHeaders(server.url), ['connection', 'close']], fin: true });
        assert.equal((await stream.read()).resetCode, H3_MESSAGE_ERROR);
        assert.equal(handled, 0);
        assert.equal((await connection.get()).text, 'fine');
        assert.deepEqual(counted(server), { ...NOTHING, requestsMalformed: 1 });
      });
    },
  },
  {
    // RFC 9114 §4.1.2
    name: 'stream: a streamed request that turns out malformed is reset and counted, though its handler has begun',
    async run() {
      const fetch = async (request: Request): Promise<Response> => new Response(await request.text());
      await withServer({ fetch, mode: 'streaming' }, async ({ connection, server }) => {
        const stream = await connection.openStream();
        await stream.write({ headers: getHeaders(server.url) });
        await stream.write({ bytes: frame(DATA, Buffer.from('content')) });
        await until('the body to begin', () => server.getStats().bodyBytesReceived > 0n);
        await stream.write({ bytes: frame(HEADERS, fieldSection([[':path', '/']])), fin: true });
        assert.equal((await stream.read()).resetCode, H3_MESSAGE_ERROR);
        assert.equal((await connection.get()).text, '');
        assert.deepEqual(counted(server), { ...NOTHING, requestsMalformed: 1 });
      });
    },
  },
  ...(['buffered', 'streaming'] as const).map((mode) => ({
    // RFC 9114 §4.1
    name: `connection: a client that breaks the protocol in a ${mode} request is closed with the code of the rule, and counted`,
    async run() {
      const fetch = async (request: Request): Promise<Response> => new Response(await request.text());
      await withServer({ fetch, mode }, async ({ server, connect }) => {
        const raw = await Connection.openRaw(server.url);
        const stream = await raw.openStream();
        await stream.write({ headers: getHeaders(server.url) });
        await stream.write({ bytes: frame(HEADERS, fieldSection([['x-a', '1']])) });
        // Content behind trailers.
        await stream.write({ bytes: frame(DATA, Buffer.from('late')) });
        assert.equal((await raw.closed()).code, H3_FRAME_UNEXPECTED);
        assert.equal((await (await connect()).get()).status, 200);
        assert.deepEqual(counted(server), { ...NOTHING, protocolErrors: 1 });
      });
    },
  })),
  {
    name: 'a client that gives up is none of these errors',
    async run() {
      let begun = false;
      const fetch = async (request: Request): Promise<Response> => {
        if (request.method === 'GET') return new Response('fine');
        begun = true;
        return new Response(await request.text());
      };
      await withServer({ fetch, mode: 'streaming' }, async ({ connection, server }) => {
        const open = await connection.open({ method: 'POST', body: 'x', keepOpen: true, read: 'none' });
        await until('the request', () => begun);
        await open.cancel();
        await until('the end of the request', () => server.getStats().requestsActive === 0);
        assert.equal((await connection.get()).text, 'fine');
        assert.deepEqual(counted(server), NOTHING);
      });
    },
  },
];
