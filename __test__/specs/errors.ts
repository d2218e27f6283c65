import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const SECRET = 'the password is swordfish';

/** What a client sees of a failure that no error handler answered: nothing. */
const PLAIN = 'Internal Server Error';

function fail(): Response {
  throw new Error(SECRET);
}

/** A fact: with this error handler a failing handler is answered with this status and text. */
function answered(
  name: string,
  error: (error: unknown) => Response | undefined | Promise<Response | undefined>,
  status: number,
  text: string,
): Spec {
  return {
    name,
    run: () =>
      withServer({ fetch: fail, error }, async ({ connection, log }) => {
        const answer = await connection.get('/');
        assert.equal(answer.status, status);
        assert.equal(answer.text, text);
        assert.equal((await connection.get('/')).status, status, 'the connection lives on');
        log.take();
      }),
  };
}

export const specs: Spec[] = [
  {
    name: 'a handler that throws is answered 500, the logger hears why, and nothing of it leaks',
    run: () =>
      withServer({ fetch: fail }, async ({ connection, log }) => {
        const answer = await connection.get('/path?query');
        assert.equal(answer.status, 500);
        assert.equal(answer.text, PLAIN);
        assert.doesNotMatch(JSON.stringify(answer.headers), /swordfish/);
        const [entry, ...others] = log.take();
        assert.deepEqual(others, []);
        assert.match(String(entry?.[0]), /GET https:\/\/127\.0\.0\.1:\d+\/path\?query/);
        assert.equal((entry?.[1] as Error).message, SECRET);
      }),
  },
  {
    name: 'a handler that rejects is answered 500 and logged',
    run: () =>
      withServer(
        {
          fetch: async () => {
            await sleep(1);
            return fail();
          },
        },
        async ({ connection, log }) => {
          const answer = await connection.get('/');
          assert.equal(answer.status, 500);
          assert.equal(answer.text, PLAIN);
          assert.equal((log.take()[0]?.[1] as Error).message, SECRET);
        },
      ),
  },
  {
    name: 'a handler that throws something other than an Error is answered 500',
    run: () =>
      withServer(
        {
          fetch: () => {
            throw null;
          },
        },
        async ({ connection, log }) => {
          assert.equal((await connection.get('/')).status, 500);
          assert.equal(log.take().length, 1);
        },
      ),
  },
  {
    name: 'a failing handler does not disturb the other requests of its turn',
    run: () =>
      withServer(
        {
          routes: [
            { method: 'GET', pattern: '/fails', fetch: fail },
            { method: 'GET', pattern: '/works/:n', fetch: (request) => new Response(request.params.n) },
          ],
        },
        async ({ connection, log }) => {
          const answers = await Promise.all(
            Array.from({ length: 40 }, (_, n) => connection.get(n % 2 === 0 ? '/fails' : `/works/${n}`)),
          );
          answers.forEach((answer, n) => {
            assert.equal(answer.status, n % 2 === 0 ? 500 : 200);
            assert.equal(answer.text, n % 2 === 0 ? PLAIN : `${n}`);
          });
          assert.equal(log.take().length, 20);
        },
      ),
  },
  {
    name: 'error() gets the very error and the server',
    async run() {
      const thrown = new RangeError(SECRET);
      const seen: unknown[] = [];
      await withServer(
        {
          fetch: () => {
            throw thrown;
          },
          error(error, server) {
            seen.push(error, server);
            return new Response('handled', { status: 503 });
          },
        },
        async ({ connection, server }) => {
          const answer = await connection.get('/');
          assert.equal(answer.status, 503);
          assert.equal(answer.text, 'handled');
          assert.equal(seen[0], thrown);
          assert.equal(seen[1], server);
        },
      );
    },
  },
  answered('error() may answer', () => new Response('sorry', { status: 418 }), 418, 'sorry'),
  answered(
    'error() may answer later',
    async () => {
      await sleep(5);
      return new Response('sorry', { status: 503 });
    },
    503,
    'sorry',
  ),
  answered('error() that returns nothing leaves the plain 500', () => undefined, 500, PLAIN),
  answered('error() that resolves with nothing leaves the plain 500', async () => undefined, 500, PLAIN),
  answered('error() that throws leaves the plain 500', fail, 500, PLAIN),
  answered('error() that rejects leaves the plain 500', async () => fail(), 500, PLAIN),
  answered('error() that returns no Response leaves the plain 500', () => 7 as never, 500, PLAIN),
  answered(
    'error() whose Response HTTP/3 forbids leaves the plain 500',
    () => new Response('x', { headers: { te: 'gzip' } }),
    500,
    PLAIN,
  ),
  {
    name: 'what error() throws is logged',
    run: () =>
      withServer(
        {
          fetch: () => new Response(null, { status: 500 }),
          routes: [{ method: 'GET', pattern: '/fails', fetch: fail }],
          error() {
            throw new Error('second');
          },
        },
        async ({ connection, log }) => {
          assert.equal((await connection.get('/fails')).status, 500);
          assert.equal((log.take()[0]?.[1] as Error).message, 'second');
          assert.equal((await connection.get('/')).text, '', 'a 500 that a handler returns is its answer');
        },
      ),
  },
  {
    name: 'a logger that throws or rejects, about a request that is no URL too, costs no request of its turn an answer',
    run: () =>
      withServer(
        {
          fetch: () => new Response('hello'),
          logger: {
            debug() {
              throw new Error('the disk is full');
            },
            info() {},
            warn() {},
            error: () => Promise.reject(new Error('the disk is full')),
          },
          routes: [{ method: 'GET', pattern: '/fails', fetch: fail }],
        },
        async ({ connection }) => {
          const answers = await Promise.all(
            Array.from({ length: 30 }, (_, n) =>
              connection.request({
                path: n % 3 === 1 ? '/fails' : '/',
                ...(n % 3 === 2 && { authority: 'localhost:99999' }),
              }),
            ),
          );
          answers.forEach((answer, n) => {
            assert.equal(answer.status, [200, 500, 400][n % 3]);
          });
        },
      ),
  },
  {
    name: 'a logger that throws does not cost the client its answer',
    run: () =>
      withServer(
        {
          fetch: fail,
          logger: {
            debug() {},
            info() {},
            warn() {},
            error() {
              throw new Error('the disk is full');
            },
          },
        },
        async ({ connection }) => {
          assert.equal((await connection.get('/')).status, 500);
          assert.equal((await connection.get('/')).status, 500);
        },
      ),
  },
];
