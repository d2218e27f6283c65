/** Facts about types: compiled, never run. A line that must not compile has `@ts-expect-error` above it. */
import { type ERROR_CODES, type H3ErrorCode, isH3Error, type UsageErrorCode } from '../lib/errors.js';
import type { H3ServeOptions } from '../lib/options.js';
import type { H3Request, IncomingStream } from '../lib/request.js';
import { Response as FastResponse } from '../lib/response.js';
import { type RouteDefinition, type RouteParams, route } from '../lib/routes.js';
import type { WebTransportReceiveStream } from '../lib/webtransport-streams.js';

type Equal<Left, Right> =
  (<T>() => T extends Left ? 1 : 2) extends <T>() => T extends Right ? 1 : 2 ? true : false;
function fact<_Holds extends true>(): void {}

fact<Equal<RouteParams<'/'>, Record<never, string>>>();
fact<Equal<RouteParams<'/users/:id'>, { id: string }>>();
fact<Equal<RouteParams<'/users/:id/*'>, { id: string; '*': string }>>();
fact<Equal<RouteParams<'/a/:b/c/:d'>, { b: string; d: string }>>();
fact<Equal<RouteParams<'/users/:id/files/*'>, { id: string; '*': string }>>();
fact<Equal<RouteParams<'/a:b/*c'>, Record<never, string>>>();
fact<Equal<RouteParams<'/a' | '/:b'>, { b: string }>>();
fact<Equal<RouteParams<string>, Record<string, string>>>();
fact<Equal<UsageErrorCode & 'ERR_H3_BIND', never>>();
fact<Equal<keyof typeof ERROR_CODES, H3ErrorCode>>();

/** Infers like `createH3Server`. */
declare function serve<const Patterns extends readonly string[]>(options: H3ServeOptions<Patterns>): void;

// Each handler of a list gets the parameters of its own pattern.
serve({
  routes: [
    {
      method: 'GET',
      pattern: '/users/:id',
      fetch(request) {
        fact<Equal<typeof request.params, { id: string }>>();
        // @ts-expect-error: the pattern has no such parameter
        request.params.name;
        return new Response(request.params.id);
      },
    },
    {
      method: ['GET', 'POST'],
      pattern: '/files/*',
      fetch: (request) => {
        fact<Equal<typeof request.params, { '*': string }>>();
        return new Response(request.params['*']);
      },
    },
    {
      method: '*',
      pattern: '/',
      fetch: async (request, server) => new Response(request.method + server.port),
    },
  ],
  fetch: (request) => new Response(request.params['any']),
  error: (error) => (isH3Error(error) ? new FastResponse(error.code, { status: 500 }) : undefined),
});

// Routes may be written apart.
const apart = route({
  method: 'GET',
  pattern: '/a/:b',
  fetch: (request) => {
    // @ts-expect-error: the pattern has no such parameter
    request.params.c;
    return new Response(request.params.b);
  },
});
serve({ routes: [apart] });

// A list of routes known only at run time has the general type.
const dynamic: RouteDefinition[] = [apart, { method: 'GET', pattern: '/x', fetch: () => new Response() }];
serve({ routes: dynamic });
serve({});

// @ts-expect-error: an unknown option
serve({ prot: 1 });
// @ts-expect-error: a handler answers with a Response
serve({ fetch: () => 'text' });
// @ts-expect-error: a route's handler answers with a Response
serve({ routes: [{ method: 'GET', pattern: '/', fetch: () => 'text' }] });
// @ts-expect-error: a route has a pattern
serve({ routes: [{ method: 'GET', fetch: () => new Response() }] });
// @ts-expect-error: no such mode
serve({ routes: [{ method: 'GET', pattern: '/', mode: 'slow', fetch: () => new Response() }] });

// The request of a handler is a Request; the Response of this package is a Response, and a base class.
declare const request: H3Request;
request satisfies Request;
const response: Response = new FastResponse('text', { status: 201, headers: { a: 'b' } });
response.headers.get('a') satisfies string | null;
FastResponse.json({}) satisfies Response;
new FastResponse(
  (async function* () {
    yield 'text';
    yield new Uint8Array(1);
  })(),
);
class Page extends FastResponse {}
new Page('text') satisfies Response;
// @ts-expect-error: a status is a number
new FastResponse(null, { status: 'ok' });

// Each kind of route has its own handlers, and what they receive.
serve({
  routes: [
    {
      method: 'POST',
      pattern: '/uploads/:name',
      mode: 'streaming',
      async fetch(request) {
        fact<Equal<typeof request.body, IncomingStream | null>>();
        fact<Equal<typeof request.params, { name: string }>>();
        let bytes = 0;
        for await (const chunk of request.body ?? []) {
          fact<Equal<typeof chunk, Uint8Array>>();
          bytes += chunk.byteLength;
        }
        return new Response(`${bytes}`);
      },
    },
    {
      method: 'GET',
      pattern: '/telemetry/:id',
      h3Datagram(payload, context) {
        fact<Equal<typeof payload, Uint8Array>>();
        fact<Equal<typeof context.params, { id: string }>>();
        fact<Equal<typeof context.request.params, { id: string }>>();
        fact<Equal<typeof context.flowId, bigint>>();
        context.sendReply(payload) satisfies boolean;
      },
    },
    {
      method: 'CONNECT',
      pattern: '/udp/:host/:port',
      protocol: 'connect-udp',
      fetch: (request) => {
        fact<Equal<typeof request.params, { host: string; port: string }>>();
        fact<Equal<typeof request.body, IncomingStream | null>>();
        return new Response(request.body);
      },
      h3Datagram: (_payload, { params }) => {
        fact<Equal<typeof params, { host: string; port: string }>>();
      },
    },
    {
      method: 'CONNECT',
      pattern: '/rooms/:room',
      allowedOrigins: ['https://example.com'],
      async webtransport(session) {
        fact<Equal<typeof session.params, { room: string }>>();
        fact<Equal<typeof session.sessionId, bigint>>();
        for await (const stream of session.incomingUnidirectionalStreams) {
          stream satisfies ReadableStream<Uint8Array>;
          fact<Equal<typeof stream, WebTransportReceiveStream>>();
        }
        // @ts-expect-error: the pattern has no such parameter
        session.params.id;
      },
    },
  ],
});

// A buffered route has the body of a Request.
route({
  method: 'POST',
  pattern: '/',
  mode: 'buffered',
  fetch(request) {
    fact<Equal<typeof request.body, Request['body']>>();
    return new Response();
  },
});

// @ts-expect-error: sessions begin with CONNECT
route({ method: 'GET', pattern: '/', webtransport() {} });
// @ts-expect-error: tunnels begin with CONNECT
route({ method: 'GET', pattern: '/', protocol: 'connect-udp', fetch: () => new Response() });
// @ts-expect-error: a session has no other handler
route({ method: 'CONNECT', pattern: '/', webtransport() {}, fetch: () => new Response() });
// @ts-expect-error: a session implies its protocol
route({ method: 'CONNECT', pattern: '/', protocol: 'webtransport', webtransport() {} });
// @ts-expect-error: origins are of sessions
route({ method: 'GET', pattern: '/', allowedOrigins: [], fetch: () => new Response() });
// @ts-expect-error: datagrams belong to a request that is open, so its body is not collected
route({ method: 'GET', pattern: '/', mode: 'buffered', h3Datagram() {} });
// @ts-expect-error: a route has a handler
route({ method: 'GET', pattern: '/' });
// @ts-expect-error: a route has no such key
route({ method: 'GET', pattern: '/', fetsh: () => new Response(), fetch: () => new Response() });
// @ts-expect-error: a session is answered by its context
route({ method: 'CONNECT', pattern: '/', webtransport: () => new Response() });
