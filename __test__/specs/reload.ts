import assert from 'node:assert/strict';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, type H3Handlers, type RouteDefinition, type WTContext } from 'trilane';
import { Connection } from '../harness/connection.js';
import { deferred, soon } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { RawSession } from '../harness/raw-session.js';
import { Log, withServer } from '../harness/stage.js';
import { twoPieces } from '../harness/two-pieces.js';
import type { Spec } from './spec.js';

const answer = (text: string) => (): Response => new Response(text);
const at = (pattern: string, text: string, method = 'GET'): RouteDefinition => ({
  method,
  pattern,
  fetch: answer(text),
});
/** What each set of handlers that is reloaded holds on to: two thousand of them would be a gigabyte. */
const BALLAST_BYTES = 512 * 1024;
const RELOADS = 2000;

async function echo(session: WTContext): Promise<void> {
  for await (const { readable, writable } of session.incomingBidirectionalStreams) {
    await readable.pipeTo(writable);
  }
}

/** What comes back on a new stream of the session. */
async function echoed(client: RawSession, text: string): Promise<string> {
  const stream = await client.open('bidi', text, true);
  const { bytes } = await stream.read();
  return bytes.toString();
}

/** The message of what `call` throws, which has this code. */
function thrown(code: string, call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof TypeError, String(error));
    assert.equal((error as { code?: string }).code, code);
    return error.message;
  }
  assert.fail(`nothing was thrown, expected ${code}`);
}

export const specs: Spec[] = [
  {
    name: 'reload() puts routes, fetch and error in the place of others, on connections that are open',
    run: () =>
      withServer({ routes: [at('/', 'old')], fetch: answer('old rest') }, async ({ server, connection }) => {
        assert.equal((await connection.get()).text, 'old');
        const fail = (): never => {
          throw new Error('on purpose');
        };
        const returned = server.reload({
          routes: [at('/', 'new'), { method: 'GET', pattern: '/fails', fetch: fail }],
          fetch: answer('new rest'),
          error: () => new Response('handled', { status: 502 }),
        });
        assert.equal(returned, server);
        assert.equal((await connection.get()).text, 'new');
        assert.equal((await connection.get('/elsewhere')).text, 'new rest');
        const failed = await connection.get('/fails');
        assert.deepEqual([failed.status, failed.text], [502, 'handled']);
      }),
  },
  {
    name: 'what reload() is not given stays, and null takes fetch and error away',
    run: () =>
      withServer(
        {
          routes: [at('/', 'route')],
          fetch: answer('rest'),
          error: () => new Response(null, { status: 503 }),
        },
        async ({ server, connection, log }) => {
          server.reload({ fetch: answer('other rest') });
          assert.equal((await connection.get()).text, 'route');
          assert.equal((await connection.get('/x')).text, 'other rest');
          server.reload({});
          assert.equal((await connection.get()).text, 'route');
          server.reload({ fetch: null });
          assert.equal((await connection.get('/x')).status, 404);
          server.reload({
            routes: [],
            fetch: () => {
              throw new Error('on purpose');
            },
          });
          assert.equal((await connection.get()).status, 503);
          server.reload({ error: null });
          assert.equal((await connection.get()).status, 500);
          assert.equal(log.take().length, 1);
        },
      ),
  },
  {
    name: '404, 405, HEAD, parameters and body modes are those of the new routes',
    run: () =>
      withServer({ routes: [at('/only', 'get')] }, async ({ server, connection }) => {
        const post = await connection.request({ method: 'POST', path: '/only' });
        assert.deepEqual([post.status, post.header('allow')], [405, 'GET, HEAD']);
        server.reload({
          routes: [
            at('/only', 'posted', 'POST'),
            {
              method: 'GET',
              pattern: '/users/:id/:what',
              fetch: ({ params }) => new Response(`${params.id} ${params.what}`),
            },
            {
              method: 'PUT',
              pattern: '/big',
              mode: 'streaming',
              fetch: async (request) => new Response(`${(await request.arrayBuffer()).byteLength}`),
            },
          ],
        });
        const get = await connection.get('/only');
        assert.deepEqual([get.status, get.header('allow')], [405, 'POST']);
        assert.equal((await connection.request({ method: 'POST', path: '/only' })).text, 'posted');
        assert.equal((await connection.get('/users/7/name')).text, '7 name');
        const head = await connection.request({ method: 'HEAD', path: '/users/7/name' });
        assert.deepEqual([head.status, head.length], [200, 0]);
        // More than a buffered body may have.
        const big = await connection.request({ method: 'PUT', path: '/big', bodySize: 2_000_000 });
        assert.equal(big.text, '2000000');
        server.reload({ routes: [] });
        assert.equal((await connection.get('/only')).status, 404);
      }),
  },
  {
    name: 'a request under way ends with the handlers it began with, its error handler included',
    async run() {
      const entered = deferred();
      const go = deferred();
      const options: H3Handlers = {
        async fetch() {
          entered.resolve();
          await go.promise;
          throw new Error('on purpose');
        },
        error: () => new Response('old error', { status: 500 }),
      };
      await withServer(options, async ({ server, connection }) => {
        const waiting = connection.get();
        await soon('the handler to begin', entered.promise);
        server.reload({ fetch: answer('new'), error: () => new Response('new error', { status: 500 }) });
        assert.equal((await connection.get()).text, 'new');
        go.resolve();
        assert.equal((await waiting).text, 'old error');
      });
    },
  },
  {
    name: 'a streamed answer goes on through a reload',
    async run() {
      const rest = deferred();
      await withServer(
        { fetch: () => new Response(twoPieces(rest.promise)) },
        async ({ server, connection }) => {
          const open = await connection.open();
          await open.read(1000);
          server.reload({ fetch: answer('new') });
          assert.equal((await connection.get()).text, 'new');
          rest.resolve();
          const end = await open.read();
          assert.deepEqual([end.length, end.error], [1000, null]);
        },
      );
    },
  },
  {
    name: 'a buffered request whose head came before the reload goes to the route of its head, by name and parameter',
    run: () =>
      withServer(
        {
          routes: [
            at('/first', 'first', 'PUT'),
            {
              method: 'PUT',
              pattern: '/up/:name',
              fetch: async (request) =>
                new Response(`old ${request.params.name} ${(await request.text()).length}`),
            },
          ],
        },
        async ({ server, connection }) => {
          const open = await connection.open({
            method: 'PUT',
            path: '/up/load',
            body: 'half',
            keepOpen: true,
            read: 'none',
          });
          await sleep(100);
          for (let round = 0; round < 3; round++)
            server.reload({ routes: [at('/up/:name', `new ${round}`, 'PUT')] });
          assert.equal((await connection.request({ method: 'PUT', path: '/up/load' })).text, 'new 2');
          await open.send(' done', true);
          assert.equal((await open.read()).text, 'old load 9');
        },
      ),
  },
  {
    name: 'a session goes on through a reload that has no route for it; new ones are refused',
    run: () =>
      withServer(
        {
          routes: [{ method: 'CONNECT', pattern: '/room', webtransport: echo }],
        },
        async ({ server, connection }) => {
          const client = await RawSession.ask(server.url, '/room');
          try {
            assert.equal(await echoed(client, 'before'), 'before');
            server.reload({ routes: [at('/', 'http only')] });
            assert.equal((await connection.get()).text, 'http only');
            assert.equal(await echoed(client, 'after'), 'after');
            const refused = await RawSession.ask(server.url, '/room');
            assert.equal((await refused.connect.read()).fin, true);
            await refused.connection.close();
            // SETTINGS have offered sessions, so that one may come back.
            server.reload({
              routes: [{ method: 'CONNECT', pattern: '/again', webtransport: echo }],
            });
            const again = await RawSession.ask(server.url, '/again');
            assert.equal(await echoed(again, 'again'), 'again');
            await again.connection.close();
          } finally {
            await client.connection.close();
          }
        },
      ),
  },
  {
    name: 'invalid handlers throw as they do at construction, and change nothing',
    run: () =>
      withServer({ routes: [at('/', 'old')], fetch: answer('rest') }, async ({ server, connection }) => {
        const bad: [code: string, options: unknown][] = [
          ['ERR_H3_OPTION_TYPE', undefined],
          ['ERR_H3_OPTION_TYPE', { routes: 'none' }],
          ['ERR_H3_OPTION_TYPE', { fetch: 'no function' }],
          ['ERR_H3_OPTION_TYPE', { error: 1 }],
          ['ERR_H3_OPTION_UNKNOWN', { route: [] }],
          ['ERR_H3_OPTION_UNKNOWN', { routes: [{ ...at('/', 'x'), handler: 1 }] }],
          ['ERR_H3_ROUTE_PATTERN', { routes: [at('no-slash', 'x')] }],
          ['ERR_H3_ROUTE_PATTERN', { routes: [at('/:a/:a', 'x')] }],
          ['ERR_H3_ROUTE_METHOD', { routes: [at('/', 'x', 'NO METHOD')] }],
          ['ERR_H3_ROUTE_HANDLER', { fetch: answer('new'), routes: [{ method: 'GET', pattern: '/' }] }],
          ['ERR_H3_ROUTE_DUPLICATE', { fetch: answer('new'), routes: [at('/', 'a'), at('/', 'b')] }],
        ];
        for (const [code, options] of bad) {
          thrown(code, () => server.reload(options as H3Handlers));
          assert.equal((await connection.get()).text, 'old', code);
          assert.equal((await connection.get('/x')).text, 'rest', code);
        }
      }),
  },
  {
    name: 'what cannot change is refused with ERR_H3_RELOAD, which says why',
    run: () =>
      withServer({ fetch: answer('old') }, async ({ server, connection }) => {
        for (const options of [
          { port: 1 },
          { quicAlpn: ['raw'] },
          { limits: {} },
          { maxBodyBytes: 1 },
          { mode: 'streaming' },
        ]) {
          const message = thrown('ERR_H3_RELOAD', () =>
            server.reload({ ...options, fetch: answer('new') } as H3Handlers),
          );
          assert.match(
            message,
            /cannot be changed by reload\(\): connections that are open were made with it/,
          );
        }
        const webtransport = (): void => undefined;
        const sessions = thrown('ERR_H3_RELOAD', () =>
          server.reload({
            routes: [{ method: 'CONNECT', pattern: '/s', webtransport }],
            fetch: answer('new'),
          }),
        );
        assert.match(sessions, /WebTransport sessions.*SETTINGS.*RFC 9114 §7\.2\.4\.2/);
        const h3Datagram = (): void => undefined;
        const datagrams = thrown('ERR_H3_RELOAD', () =>
          server.reload({ routes: [{ method: 'GET', pattern: '/d', h3Datagram }], fetch: answer('new') }),
        );
        assert.match(datagrams, /HTTP datagrams.*SETTINGS/);
        assert.equal((await connection.get()).text, 'old');
      }),
  },
  {
    name: 'a server that offers HTTP datagrams takes others by reload',
    run: () =>
      withServer(
        { routes: [{ method: 'POST', pattern: '/one', h3Datagram: () => undefined }] },
        async ({ server }) => {
          const got = deferred<string>();
          server.reload({
            routes: [
              {
                method: 'POST',
                pattern: '/other/:name',
                h3Datagram: (payload, context) => got.resolve(`${context.params.name} ${payload.length}`),
              },
            ],
          });
          const connection = await Connection.openRaw(server.url, { controlHex: '0004023301' });
          const stream = await connection.openStream();
          await stream.write({
            headers: [
              [':method', 'POST'],
              [':scheme', 'https'],
              [':authority', server.url.host],
              [':path', '/other/name'],
            ],
          });
          await connection.sendDatagram(Uint8Array.of(0, 7, 7, 7));
          assert.equal(await soon('the datagram', got.promise), 'name 3');
          await connection.close();
        },
      ),
  },
  {
    name: 'a stopped server is reloaded for its next start, a closed one refuses',
    async run() {
      const server = createH3Server({ hostname: '127.0.0.1', logger: new Log(), fetch: answer('old') });
      await soon('stop', server.stop(true));
      for (let round = 0; round < 100; round++)
        server.reload({ routes: [at('/', `new ${round}`)], fetch: null });
      server.start();
      const connection = await Connection.open(server.url);
      assert.equal((await connection.get()).text, 'new 99');
      assert.equal((await connection.get('/x')).status, 404);
      await connection.close();
      server.close();
      assert.throws(() => server.reload({ fetch: answer('new') }), {
        name: 'H3Error',
        code: 'ERR_H3_SERVER_CLOSED',
      });
    },
  },
  {
    name: `${RELOADS} reloads under load: every answer is of a set that was current, and none of the sets is kept`,
    ms: 60_000,
    run: () =>
      withServer({ fetch: answer('0') }, async ({ server, connection }) => {
        const before = process.memoryUsage().rss;
        let newest = 0;
        let loading = true;
        const load = async (): Promise<number> => {
          let count = 0;
          while (loading) {
            const oldest = newest;
            const { text } = await connection.get(`/${count}`);
            const number = Number(text);
            assert.ok(number >= oldest && number <= newest, `${text} is not between ${oldest} and ${newest}`);
            count += 1;
          }
          return count;
        };
        const loads = [load(), load(), load(), load()];
        for (let number = 1; number <= RELOADS; number++) {
          const ballast = new Uint8Array(BALLAST_BYTES).fill(number);
          newest = number;
          server.reload({
            routes: [
              {
                method: 'GET',
                pattern: '/*',
                fetch: () => new Response(`${number + 0 * (ballast[0] ?? 0)}`),
              },
            ],
          });
          if (number % 10 === 0) await sleep(1);
        }
        loading = false;
        const counts = await Promise.all(loads);
        assert.ok(
          counts.every((count) => count > 0),
          String(counts),
        );
        assert.equal((await connection.get('/')).text, `${RELOADS}`);
        const grown = process.memoryUsage().rss - before;
        measuredMemory(grown, 'routes were loaded anew');
        assert.ok(grown < (RELOADS * BALLAST_BYTES) / 2, `the process grew by ${grown} bytes`);
      }),
  },
];
