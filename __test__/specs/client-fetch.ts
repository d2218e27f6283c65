// What fetch takes and gives: requests as they reach the server, responses as the program sees them.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { H3Client, type H3Request, isH3Error, withTrailers } from 'trilane';
import type { H3RequestInit } from '../../lib/client/outgoing-request.js';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { networkError, usageMistake } from '../harness/failure.js';
import type { Spec } from './spec.js';

/** Says what came: method, URL, headers, body. */
const mirror: Answering = async (request) =>
  Response.json({
    method: request.method,
    url: request.url,
    headers: [...request.headers],
    body: await request.text(),
  });

interface Mirrored {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly [string, string][];
  readonly body: string;
}

async function mirrored(
  response: Response,
): Promise<Mirrored & { header(name: string): string | undefined }> {
  const seen = (await response.json()) as Mirrored;
  return { ...seen, header: (name) => seen.headers.find(([other]) => other === name)?.[1] };
}

/** A fact: this init is refused before anything is sent. */
function refused(what: string, init: unknown, code: 'ERR_H3_CLIENT_REQUEST' | 'ERR_H3_HEADER'): Spec {
  return {
    name: `${what} is a TypeError, and nothing is sent`,
    run: () =>
      withClient(mirror, async ({ client, server, at }) => {
        await usageMistake(client.fetch(at('/'), init as H3RequestInit), code);
        assert.equal(server.getStats().requests, 0n);
      }),
  };
}

export const specs = clientSpecs([
  {
    name: 'a string, a URL and a Request are taken alike, and the fragment stays here',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const url = at('/a?b=c#d');
        for (const input of [url, new URL(url), new Request(url)]) {
          const response = await client.fetch(input);
          assert.equal(response.url, at('/a?b=c'));
          const seen = await mirrored(response);
          assert.deepEqual([seen.method, seen.url, seen.body], ['GET', at('/a?b=c'), '']);
        }
      }),
  },
  {
    name: 'method, headers and body of a Request are sent, and init goes before them',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const request = (): Request =>
          new Request(at('/'), {
            method: 'PUT',
            headers: { 'x-a': '1', 'content-type': 'text/x' },
            body: 'old',
          });
        const asItIs = await mirrored(await client.fetch(request()));
        assert.deepEqual([asItIs.method, asItIs.body, asItIs.header('x-a')], ['PUT', 'old', '1']);
        assert.deepEqual([asItIs.header('content-type'), asItIs.header('content-length')], ['text/x', '3']);
        const changed = await mirrored(
          await client.fetch(request(), { method: 'POST', headers: { 'x-b': '2' }, body: 'new one' }),
        );
        assert.deepEqual(
          [changed.method, changed.body, changed.header('x-a')],
          ['POST', 'new one', undefined],
        );
        assert.equal(changed.header('x-b'), '2');
      }),
  },
  {
    name: 'a Request counts as used afterwards, and one that is used is refused',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const request = new Request(at('/'), { method: 'POST', body: 'once' });
        assert.equal((await mirrored(await client.fetch(request))).body, 'once');
        assert.equal(request.bodyUsed, true);
        await usageMistake(client.fetch(request), 'ERR_H3_CLIENT_REQUEST');
      }),
  },
  {
    name: 'the Request of another realm or polyfill is read by its members',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const { body } = new Response('foreign');
        const foreign = { url: at('/x'), method: 'POST', headers: new Headers({ 'x-a': '1' }), body };
        const seen = await mirrored(await client.fetch(foreign as unknown as Request));
        assert.deepEqual(
          [seen.method, seen.url, seen.body, seen.header('x-a')],
          ['POST', at('/x'), 'foreign', '1'],
        );
      }),
  },
  {
    name: 'the request that a handler was given can be passed on',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const pass: Answering = (request: H3Request) =>
          client.fetch(new URL(new URL(request.url).pathname, at('/')), {
            method: request.method,
            headers: request.headers,
            body: request.body,
            duplex: 'half',
          });
        await withClient(pass, async (front) => {
          const seen = await mirrored(
            await front.client.fetch(front.at('/through'), { method: 'POST', body: 'on' }),
          );
          assert.deepEqual([seen.method, seen.url, seen.body], ['POST', at('/through'), 'on']);
        });
      }),
  },
  {
    name: 'the six methods that fetch normalises are sent in upper case, others as they are',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        for (const [given, sent] of [
          ['get', 'GET'],
          ['Delete', 'DELETE'],
          ['options', 'OPTIONS'],
          ['pOST', 'POST'],
          ['put', 'PUT'],
          ['patch', 'patch'],
          ['Query', 'Query'],
        ] as const) {
          assert.equal((await mirrored(await client.fetch(at('/'), { method: given }))).method, sent);
        }
      }),
  },
  ...['CONNECT', 'trace', 'Track', 'a b', ''].map((method) =>
    refused(`the method ${JSON.stringify(method)}`, { method }, 'ERR_H3_CLIENT_REQUEST'),
  ),
  refused('a body on GET', { body: '' }, 'ERR_H3_CLIENT_REQUEST'),
  refused('a body on HEAD', { method: 'head', body: 'x' }, 'ERR_H3_CLIENT_REQUEST'),
  refused('a stream without duplex', { method: 'POST', body: new ReadableStream() }, 'ERR_H3_CLIENT_REQUEST'),
  refused('an unknown duplex', { method: 'POST', body: 'x', duplex: 'quarter' }, 'ERR_H3_CLIENT_REQUEST'),
  refused('an unknown redirect mode', { redirect: 'maybe' }, 'ERR_H3_CLIENT_REQUEST'),
  refused('a signal that is none', { signal: {} }, 'ERR_H3_CLIENT_REQUEST'),
  refused(
    'a content-length that is not that of the body',
    { method: 'POST', body: 'ab', headers: { 'content-length': '3' } },
    'ERR_H3_CLIENT_REQUEST',
  ),
  refused('trailers without a body', { trailers: { a: 'b' } }, 'ERR_H3_CLIENT_REQUEST'),
  refused(
    'a trailer that frames the message',
    { method: 'POST', body: 'x', trailers: { 'content-length': '1' } },
    'ERR_H3_HEADER',
  ),
  refused('an invalid header name', { headers: { 'a b': 'c' } }, 'ERR_H3_HEADER'),
  refused('the header connection', { headers: { connection: 'close' } }, 'ERR_H3_HEADER'),
  refused('the header transfer-encoding', { headers: { 'transfer-encoding': 'chunked' } }, 'ERR_H3_HEADER'),
  refused('a te that is not trailers', { headers: { te: 'gzip' } }, 'ERR_H3_HEADER'),
  // RFC9114-3.1.2-scheme-willing
  {
    name: 'a URL that is relative, or has a user name, is a TypeError; another scheme a network error',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        await usageMistake(client.fetch('/relative'), 'ERR_H3_CLIENT_REQUEST');
        await usageMistake(client.fetch(at('/').replace('://', '://user:secret@')), 'ERR_H3_CLIENT_REQUEST');
        for (const url of ['http://localhost/', 'data:,x', 'ftp://localhost/']) {
          await networkError(client.fetch(url), 'ERR_H3_CLIENT_SCHEME');
        }
      }),
  },
  {
    name: 'headers that the caller left out are added, and none of his is changed',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const bare = await mirrored(await client.fetch(at('/')));
        assert.equal(bare.header('accept'), '*/*');
        assert.match(bare.header('user-agent') ?? '', /^trilane\/\d/);
        assert.match(bare.header('accept-encoding') ?? '', /^gzip, deflate, br/);
        assert.equal(bare.header('content-length'), undefined);
        const headers = { accept: 'a/b', 'user-agent': 'me', 'accept-encoding': 'identity' };
        const own = await mirrored(await client.fetch(at('/'), { headers }));
        for (const [name, value] of Object.entries(headers)) assert.equal(own.header(name), value);
        const post = await mirrored(await client.fetch(at('/'), { method: 'POST' }));
        assert.equal(post.header('content-length'), '0');
        const range = await mirrored(await client.fetch(at('/'), { headers: { range: 'bytes=0-1' } }));
        assert.equal(range.header('accept-encoding'), 'identity');
      }),
  },
  {
    name: 'a header value of bytes beyond ASCII arrives as it was given',
    run: () =>
      withClient(mirror, async ({ client, at }) => {
        const seen = await mirrored(await client.fetch(at('/'), { headers: { 'x-byte': 'ä\xff' } }));
        assert.equal(seen.header('x-byte'), 'ä\xff');
      }),
  },
  {
    name: 'userAgent names the client, or says nothing',
    async run() {
      for (const [userAgent, sent] of [
        ['mine/1', 'mine/1'],
        ['', undefined],
      ] as const) {
        await withClient(
          mirror,
          async ({ client, at }) =>
            assert.equal((await mirrored(await client.fetch(at('/')))).header('user-agent'), sent),
          { client: { userAgent } },
        );
      }
    },
  },
  {
    name: 'the response is one of the runtime, says where it came from, and its clone does too',
    run: () =>
      withClient(
        () => new Response('text', { status: 404, headers: { 'x-a': '1' } }),
        async ({ client, server, at }) => {
          const response = await client.fetch(at('/x'));
          const clone = response.clone() as typeof response;
          for (const each of [response, clone]) {
            assert.ok(each instanceof Response);
            assert.deepEqual(
              [each.status, each.ok, each.type, each.redirected],
              [404, false, 'basic', false],
            );
            assert.deepEqual([each.url, each.statusText, each.headers.get('x-a')], [at('/x'), '', '1']);
            assert.deepEqual([each.connection.alpn, each.connection.remoteAddress.port], ['h3', server.port]);
            assert.equal(await each.text(), 'text');
            assert.deepEqual([...(await each.trailers)], []);
          }
          assert.equal(response.connection.reused, false);
          const second = await client.fetch(at('/x'));
          assert.equal(second.connection.reused, true);
          assert.equal(second.connection.handshakeMs, 0);
          await second.text();
        },
      ),
  },
  {
    name: 'each set-cookie stays a field of its own',
    run: () =>
      withClient(
        () => {
          const headers = new Headers();
          for (const cookie of ['a=1; expires=Thu, 01 Jan 2026 00:00:00 GMT', 'b=2'])
            headers.append('set-cookie', cookie);
          return new Response('', { headers });
        },
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          assert.equal(await response.text(), '');
          const { headers } = response;
          assert.deepEqual(headers.getSetCookie(), ['a=1; expires=Thu, 01 Jan 2026 00:00:00 GMT', 'b=2']);
        },
      ),
  },
  {
    name: 'HEAD, 204 and 304 have no body; an empty body is one',
    run: () =>
      withClient(
        (request) => {
          const status = Number(new URL(request.url).pathname.slice(1));
          return new Response(status === 200 ? 'four' : null, { status });
        },
        async ({ client, at }) => {
          const head = await client.fetch(at('/200'), { method: 'HEAD' });
          assert.deepEqual(
            [head.body, head.headers.get('content-length'), await head.text()],
            [null, '4', ''],
          );
          for (const status of [204, 304]) {
            const { body, ...none } = await client.fetch(at(`/${status}`));
            assert.deepEqual([body, none.status ?? status], [null, status]);
          }
          const empty = await client.fetch(at('/404'));
          assert.notEqual(empty.body, null);
          assert.equal(await empty.text(), '');
        },
      ),
  },
  {
    name: 'trailers come behind the body, with their values apart from the headers',
    run: () =>
      withClient(
        () => withTrailers(new Response('body'), { 'x-sum': '7' }),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          assert.equal(await response.text(), 'body');
          assert.equal((await response.trailers).get('x-sum'), '7');
          assert.equal(response.headers.get('x-sum'), null);
        },
      ),
  },
  {
    name: 'interim answers are heard before the response, and what the listener throws is not',
    run: () =>
      withClient(
        (request, server) => {
          server.informational(request, 103, { link: '</a>; rel=preload' });
          server.informational(request, 103, { link: '</b>; rel=preload' });
          return new Response('done');
        },
        async ({ client, at }) => {
          const heard: [number, string | null][] = [];
          const response = await client.fetch(at('/'), {
            onInformational(status, headers) {
              heard.push([status, headers.get('link')]);
              throw new Error('not your concern');
            },
          });
          assert.equal(await response.text(), 'done');
          assert.deepEqual(heard, [
            [103, '</a>; rel=preload'],
            [103, '</b>; rel=preload'],
          ]);
        },
      ),
  },
  {
    name: 'a body with the hash that integrity names is delivered, another one is a network error',
    run: () =>
      withClient(
        () => new Response('content'),
        async ({ client, at }) => {
          const hash = (name: string, text: string): string =>
            `${name}-${createHash(name).update(text).digest('base64')}`;
          for (const integrity of [
            hash('sha256', 'content'),
            `${hash('sha512', 'content')}?opt ${hash('sha512', 'other')}`,
            `${hash('sha256', 'other')} ${hash('sha384', 'content')}`,
            'md5-unknown',
          ]) {
            assert.equal(await (await client.fetch(at('/'), { integrity })).text(), 'content', integrity);
          }
          for (const integrity of [
            hash('sha256', 'other'),
            `${hash('sha256', 'content')} ${hash('sha512', 'other')}`,
          ]) {
            await networkError(client.fetch(at('/'), { integrity }), 'ERR_H3_CLIENT_INTEGRITY');
          }
        },
      ),
  },
  {
    name: 'fetch needs no this, and many requests share a client',
    run: () =>
      withClient(
        (request) => new Response(new URL(request.url).pathname),
        async ({ client: { fetch }, at }) => {
          const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
          const texts = await Promise.all(paths.map(async (path) => (await fetch(at(path))).text()));
          assert.deepEqual(texts, paths);
        },
      ),
  },
  {
    name: 'a closed client refuses requests, and closing it again is no mistake',
    run: () =>
      withClient(
        () => new Response('ok'),
        async ({ client, at }) => {
          await (await client.fetch(at('/'))).text();
          await client.close();
          await client.close();
          await client.closed;
          await networkError(client.fetch(at('/')), 'ERR_H3_CLIENT_CLOSED');
        },
      ),
  },
  {
    name: 'destroying a client ends what it waits for, with the reason given',
    run: () =>
      withClient(
        () => new Promise<Response>(() => undefined),
        async ({ client, at }) => {
          const waiting = client.fetch(at('/'));
          setTimeout(() => client.destroy(new Error('enough')), 50);
          const cause = await networkError(waiting, 'ERR_H3_CLIENT_CLOSED');
          assert.equal((cause.cause as Error).message, 'enough');
          await client.closed;
        },
      ),
  },
  {
    name: 'a client that is disposed of is closed',
    async run() {
      const client = new H3Client({ insecure: true });
      await client[Symbol.asyncDispose]();
      const error = await client.fetch('https://localhost/').catch((thrown: unknown) => thrown as Error);
      assert.ok(error instanceof TypeError && isH3Error(error.cause));
      assert.equal(error.cause.code, 'ERR_H3_CLIENT_CLOSED');
    },
  },
]);
