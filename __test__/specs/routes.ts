import assert from 'node:assert/strict';
import { normaliseRoutes, route } from '../../lib/routes.js';
import type { Spec } from './spec.js';

const answer = () => new Response('answer');

/** A fact: the one route is refused with `code` and a message that matches `message`. */
function refused(definition: unknown, code: string, message: RegExp): Spec {
  return {
    name: `routes: refused with ${message}`,
    run: () =>
      assert.throws(() => normaliseRoutes([definition], 'buffered'), { name: 'TypeError', code, message }),
  };
}

function methodsOf(method: unknown): readonly string[] | undefined {
  return normaliseRoutes([{ method, pattern: '/', fetch: answer }], 'buffered')[0]?.methods;
}

export const specs: Spec[] = [
  {
    name: 'routes: a definition is brought into one form',
    run() {
      const definition = { method: 'GET', pattern: '/users/:id/files/*', fetch: answer };
      assert.deepEqual(normaliseRoutes([definition], 'buffered'), [
        {
          methods: ['GET'],
          pattern: '/users/:id/files/*',
          paramNames: ['id', '*'],
          protocol: undefined,
          mode: 'buffered',
          fetch: answer,
          h3Datagram: null,
          webtransport: null,
          allowedOrigins: null,
        },
      ]);
      assert.deepEqual(normaliseRoutes(undefined, 'buffered'), []);
      assert.deepEqual(normaliseRoutes([], 'buffered'), []);
    },
  },
  {
    name: 'routes: known methods are upper-cased, others kept, repeated ones dropped',
    run() {
      assert.deepEqual(methodsOf('get'), ['GET']);
      assert.deepEqual(methodsOf(['Post', 'POST', 'Purge']), ['POST', 'Purge']);
      assert.deepEqual(methodsOf('*'), ['*']);
    },
  },
  {
    name: 'routes: an extended CONNECT route keeps its protocol',
    run() {
      const [connect] = normaliseRoutes(
        [{ method: 'CONNECT', protocol: 'connect-udp', pattern: '/', fetch: answer }],
        'buffered',
      );
      assert.equal(connect?.protocol, 'connect-udp');
    },
  },
  {
    name: 'routes: a route has the mode of the server unless it has its own',
    run() {
      const definition = { method: 'GET', pattern: '/', fetch: answer };
      assert.equal(normaliseRoutes([definition], 'streaming')[0]?.mode, 'streaming');
      assert.equal(normaliseRoutes([{ ...definition, mode: 'buffered' }], 'streaming')[0]?.mode, 'buffered');
    },
  },
  {
    name: 'routes: route() returns its argument',
    run() {
      const definition = { method: 'GET', pattern: '/', fetch: answer } as const;
      assert.equal(route(definition), definition);
    },
  },
  {
    name: 'routes: an error names the route by its number and pattern',
    run() {
      const good = { method: 'GET', pattern: '/', fetch: answer };
      assert.throws(() => normaliseRoutes([good, { ...good, pattern: '/b', method: 1 }], 'buffered'), {
        message: /^routes\[1\] \(\/b\): "method" is number 1;/,
      });
    },
  },
  {
    name: 'routes: a list that is no array is refused',
    run: () => assert.throws(() => normaliseRoutes({}, 'buffered'), { code: 'ERR_H3_OPTION_TYPE' }),
  },
  refused(null, 'ERR_H3_OPTION_TYPE', /routes\[0\] is null; expected an object/),
  refused(
    { path: '/', method: 'GET' },
    'ERR_H3_OPTION_UNKNOWN',
    /routes\[0\] has no property "path": known are method, pattern/,
  ),
  refused({ methods: 'GET', pattern: '/' }, 'ERR_H3_OPTION_UNKNOWN', /did you mean "method"\?/),
  refused(
    { method: 'GET', fetch: answer },
    'ERR_H3_ROUTE_PATTERN',
    /"pattern" is undefined; expected a path that begins with "\/"/,
  ),
  refused({ method: 'GET', pattern: 'a', fetch: answer }, 'ERR_H3_ROUTE_PATTERN', /"pattern" is "a"/),
  refused({ pattern: '/', fetch: answer }, 'ERR_H3_ROUTE_METHOD', /"method" is undefined/),
  refused({ method: [], pattern: '/', fetch: answer }, 'ERR_H3_ROUTE_METHOD', /an empty array/),
  refused({ method: ['GET', '*'], pattern: '/', fetch: answer }, 'ERR_H3_ROUTE_METHOD', /a list with "\*"/),
  refused(
    { method: 'GET POST', pattern: '/', fetch: answer },
    'ERR_H3_ROUTE_METHOD',
    /"method" is "GET POST"/,
  ),
  refused(
    { method: 'GET', pattern: '/' },
    'ERR_H3_ROUTE_HANDLER',
    /has no handler: give it a "fetch", an "h3Datagram" or a "webtransport" function/,
  ),
  refused(
    { method: 'GET', pattern: '/', fetch: 1 },
    'ERR_H3_ROUTE_HANDLER',
    /"fetch" is number 1; expected a function/,
  ),
  refused(
    { method: 'GET', pattern: '/', mode: 1, fetch: answer },
    'ERR_H3_OPTION_TYPE',
    /"mode" is number 1/,
  ),
  refused(
    { method: 'GET', pattern: '/', webtransport: answer },
    'ERR_H3_ROUTE_METHOD',
    /"webtransport" needs method "CONNECT"/,
  ),
  refused(
    { method: '*', pattern: '/', webtransport: answer },
    'ERR_H3_ROUTE_METHOD',
    /needs method "CONNECT"/,
  ),
  refused(
    { method: 'GET', pattern: '/', protocol: 'x', fetch: answer },
    'ERR_H3_ROUTE_METHOD',
    /"protocol" needs method "CONNECT"/,
  ),
  refused(
    { method: 'CONNECT', pattern: '/', protocol: 'a b', fetch: answer },
    'ERR_H3_ROUTE_METHOD',
    /"protocol" is "a b"/,
  ),
  refused(
    { method: 'CONNECT', pattern: '/', webtransport: answer, fetch: answer },
    'ERR_H3_ROUTE_HANDLER',
    /"webtransport" takes no other handler/,
  ),
  refused(
    { method: 'GET', pattern: '/', mode: 'buffered', h3Datagram: answer },
    'ERR_H3_ROUTE_HANDLER',
    /"h3Datagram" has mode "streaming"/,
  ),
];
