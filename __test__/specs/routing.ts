import assert from 'node:assert/strict';
import { type H3ServeOptions, type H3Server, type RouteDefinition, route } from 'trilane';
import { Connection } from '../harness/connection.js';
import { REQUEST_KINDS, withServer } from '../harness/stage.js';
import { DATA, payloads } from '../harness/wire.js';
import type { Spec } from './spec.js';

/** Answers with its pattern and the parameters it got. */
function echo(method: string | string[], pattern: string): RouteDefinition {
  return { method, pattern, fetch: (request) => Response.json([pattern, request.params]) };
}

/** The same fact for both kinds of request. */
function each(
  name: string,
  options: H3ServeOptions,
  run: (connection: Connection, server: H3Server) => Promise<void>,
): Spec[] {
  return REQUEST_KINDS.map((request) => ({
    name: `${request}: ${name}`,
    run: () => withServer({ ...options, request }, ({ connection, server }) => run(connection, server)),
  }));
}

const fallback = (request: Request): Response => new Response(`fallback ${new URL(request.url).pathname}`);

export const specs: Spec[] = [
  ...each(
    'parameters are decoded and named by the pattern',
    { routes: [echo('GET', '/users/:id/posts/:post')] },
    async (connection) => {
      const answer = await connection.get('/users/J%C3%BCrgen%2FM/posts/a+b?post=query');
      assert.deepEqual(answer.json, ['/users/:id/posts/:post', { id: 'Jürgen/M', post: 'a+b' }]);
    },
  ),
  ...each(
    'a parameter that is no UTF-8 comes as it was written',
    { routes: [echo('GET', '/users/:id')] },
    async (connection) => {
      assert.deepEqual((await connection.get('/users/%FF%20')).json, ['/users/:id', { id: '%FF%20' }]);
    },
  ),
  ...each(
    'parameters of requests of one turn are not mixed up',
    { routes: [echo('GET', '/a/:x'), echo('GET', '/b/:y/:z')] },
    async (connection) => {
      const numbers = Array.from({ length: 100 }, (_, n) => n);
      const answers = await Promise.all(
        numbers.map((n) => connection.get(n % 2 === 0 ? `/a/${n}` : `/b/${n}/${'z'.repeat(n)}`)),
      );
      for (const [n, answer] of answers.entries()) {
        const expected = n % 2 === 0 ? { x: `${n}` } : { y: `${n}`, z: 'z'.repeat(n) };
        assert.deepEqual((answer.json as unknown[])[1], expected);
      }
    },
  ),
  ...each(
    'a wildcard takes the rest of the path, slashes and all',
    { routes: [echo('GET', '/files/*')] },
    async (connection) => {
      assert.deepEqual((await connection.get('/files/a/b%20c')).json, ['/files/*', { '*': 'a/b c' }]);
    },
  ),
  ...each(
    'the most specific pattern wins, whatever the order',
    { routes: [echo('GET', '/*'), echo('GET', '/a/:b'), echo('GET', '/a/*'), echo('GET', '/a/b')] },
    async (connection) => {
      const winner = async (path: string): Promise<unknown> =>
        ((await connection.get(path)).json as unknown[])[0];
      assert.equal(await winner('/a/b'), '/a/b');
      assert.equal(await winner('/a/c'), '/a/:b');
      assert.equal(await winner('/a/c/d'), '/a/*');
      assert.equal(await winner('/x'), '/*');
    },
  ),
  ...each(
    'what no route matches goes to the fallback',
    { routes: [echo('GET', '/known')], fetch: fallback },
    async (connection) => {
      assert.equal((await connection.get('/unknown')).text, 'fallback /unknown');
      assert.deepEqual((await connection.get('/known')).json, ['/known', {}]);
    },
  ),
  ...each(
    'without a fallback it is answered 404',
    { routes: [echo('GET', '/known')] },
    async (connection) => {
      const answer = await connection.get('/unknown');
      assert.equal(answer.status, 404);
      assert.equal(answer.text, 'Not Found');
      assert.equal((await connection.request({ method: 'HEAD', path: '/unknown' })).length, 0);
    },
  ),
  ...each(
    // RFC9110-15.5.6-allow
    'a known path with another method is answered 405 with all that are allowed',
    { routes: [echo(['PUT', 'DELETE'], '/thing'), echo('GET', '/:any')], fetch: fallback },
    async (connection) => {
      const answer = await connection.request({ method: 'POST', path: '/thing' });
      assert.equal(answer.status, 405);
      assert.equal(answer.header('allow'), 'DELETE, GET, HEAD, PUT');
    },
  ),
  ...each(
    'a route answers every method of its list and no other',
    { routes: [echo(['GET', 'POST', 'PURGE'], '/thing')] },
    async (connection) => {
      for (const method of ['GET', 'POST', 'PURGE']) {
        assert.equal((await connection.request({ method, path: '/thing' })).status, 200);
      }
      assert.equal((await connection.request({ method: 'purge', path: '/thing' })).status, 405);
    },
  ),
  ...each(
    '"*" answers any method, and a named one beats it',
    { routes: [echo('*', '/thing'), { method: 'PUT', pattern: '/thing', fetch: () => new Response('put') }] },
    async (connection) => {
      assert.equal((await connection.request({ method: 'BREW', path: '/thing' })).status, 200);
      assert.equal((await connection.request({ method: 'PUT', path: '/thing' })).text, 'put');
    },
  ),
  ...each(
    'HEAD is answered by the GET route, with its headers and without its body',
    {
      routes: [
        {
          method: 'GET',
          pattern: '/page',
          fetch: () => new Response('0123456789', { headers: { etag: '"1"' } }),
        },
      ],
    },
    async (connection) => {
      const answer = await connection.request({ method: 'HEAD', path: '/page' });
      assert.equal(answer.status, 200);
      assert.equal(answer.header('etag'), '"1"');
      assert.equal(answer.header('content-length'), '10');
      assert.equal(answer.length, 0);
      assert.ok(answer.ended);
    },
  ),
  ...each(
    'a HEAD route beats GET standing in for it, and its handler sees HEAD',
    {
      routes: [
        echo('GET', '/page'),
        {
          method: 'HEAD',
          pattern: '/page',
          fetch: (request) => new Response(null, { headers: { 'x-method': request.method } }),
        },
      ],
    },
    async (connection) => {
      assert.equal((await connection.request({ method: 'HEAD', path: '/page' })).header('x-method'), 'HEAD');
    },
  ),
  ...each(
    'a CONNECT that no route names is answered 501',
    { routes: [echo('*', '/')] },
    async (_connection, server) => {
      const raw = await Connection.openRaw(server.url);
      const stream = await raw.openStream();
      const headers = [
        [':method', 'CONNECT'],
        [':authority', 'example.test:80'],
      ] as const;
      await stream.write({ headers, fin: true });
      const { bytes, fin } = await stream.read();
      assert.ok(fin);
      assert.equal(`${payloads(bytes, DATA)}`, 'Not Implemented');
      await raw.close();
    },
  ),
  {
    name: 'a route written apart keeps the type of its parameters',
    async run() {
      const apart = route({
        method: 'GET',
        pattern: '/greet/:name',
        fetch: (request) => new Response(`hello ${request.params.name}`),
      });
      await withServer({ routes: [apart] }, async ({ connection }) => {
        assert.equal((await connection.get('/greet/you')).text, 'hello you');
      });
    },
  },
  {
    name: 'a handler gets the server that it runs on',
    run: () =>
      withServer(
        { fetch: (_request, server) => new Response(`${server.port}`) },
        async ({ connection, server }) => {
          assert.equal((await connection.get()).text, `${server.port}`);
        },
      ),
  },
];
