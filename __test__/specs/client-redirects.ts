// HTTP-redirect fetch (Fetch §4.4).

import assert from 'node:assert/strict';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { networkError } from '../harness/failure.js';

/** Redirects `/STATUS/to/LOCATION`; anything else says what came. */
const redirecting: Answering = async (request) => {
  const { pathname, search } = new URL(request.url);
  const [, status, location] = /^\/(3\d\d)\/to\/(.*)$/.exec(pathname) ?? [];
  if (location !== undefined) {
    await request.arrayBuffer();
    return new Response('moved', {
      status: Number(status),
      headers: { location: decodeURIComponent(location) },
    });
  }
  if (pathname === '/loop') return new Response(null, { status: 302, headers: { location: '/loop' } });
  if (pathname === '/count') {
    const left = Number(search.slice(1));
    return left === 0
      ? new Response('arrived')
      : new Response(null, { status: 307, headers: { location: `/count?${left - 1}` } });
  }
  if (pathname === '/bare') return new Response('nowhere', { status: 302 });
  return Response.json({
    method: request.method,
    headers: Object.fromEntries(request.headers),
    body: await request.text(),
  });
};

interface Seen {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The path of a redirect to `location`. */
function to(location: string, status = 302): string {
  return `/${status}/to/${encodeURIComponent(location)}`;
}

export const specs = clientSpecs([
  {
    name: 'a redirect is followed, its URL and the fragment of the request go on',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        for (const status of [301, 302, 303, 307, 308]) {
          const response = await client.fetch(at(`${to('../../x?y', status)}#part`));
          assert.deepEqual([response.status, response.redirected, response.url], [200, true, at('/x?y')]);
          assert.equal(((await response.json()) as Seen).method, 'GET');
        }
      }),
  },
  {
    name: '301 and 302 make a POST a GET, 303 anything but HEAD, 307 and 308 nothing',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        for (const [status, method, then] of [
          [301, 'POST', 'GET'],
          [302, 'POST', 'GET'],
          [303, 'POST', 'GET'],
          [303, 'PUT', 'GET'],
          [301, 'PUT', 'PUT'],
          [302, 'DELETE', 'DELETE'],
          [307, 'POST', 'POST'],
          [308, 'PATCH', 'PATCH'],
        ] as const) {
          const headers = { 'content-language': 'en', 'x-kept': 'yes' };
          const response = await client.fetch(at(to('/x', status)), { method, body: 'text', headers });
          const seen = (await response.json()) as Seen;
          assert.equal(seen.method, then, `${status} ${method}`);
          assert.equal(seen.headers['x-kept'], 'yes');
          const kept = then === method;
          assert.deepEqual(
            [
              seen.body,
              seen.headers['content-type'],
              seen.headers['content-language'],
              seen.headers['content-length'],
            ],
            kept ? ['text', 'text/plain;charset=UTF-8', 'en', '4'] : ['', undefined, undefined, undefined],
          );
        }
        assert.equal((await client.fetch(at(to('/x', 303)), { method: 'HEAD' })).status, 200);
      }),
  },
  {
    name: 'bodies that are whole are sent again: text, bytes, Blob, FormData, and that of a Request',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        const url = at(to('/x', 307));
        const form = new FormData();
        form.append('field', 'value');
        for (const body of ['text', new TextEncoder().encode('text'), new Blob(['text']), form]) {
          const seen = (await (await client.fetch(url, { method: 'POST', body })).json()) as Seen;
          if (body !== form) assert.equal(seen.body, 'text');
          else {
            const boundary = /boundary=(.*)$/.exec(seen.headers['content-type'] ?? '')?.[1] ?? 'none';
            assert.ok(seen.body.startsWith(`--${boundary}`) && seen.body.includes('value'));
          }
        }
        const request = new Request(url, { method: 'POST', body: 'text' });
        assert.equal(((await (await client.fetch(request)).json()) as Seen).body, 'text');
      }),
  },
  {
    name: 'a streamed body is not sent again, unless 303 drops it',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        const send = (status: number): Promise<Response> =>
          client.fetch(at(to('/x', status)), {
            method: 'POST',
            body: new Blob(['text']).stream() as ReadableStream<Uint8Array>,
            duplex: 'half',
          });
        for (const status of [301, 302, 307, 308]) await networkError(send(status), 'ERR_H3_CLIENT_REDIRECT');
        assert.equal(((await (await send(303)).json()) as Seen).method, 'GET');
      }),
  },
  {
    name: 'authorization, cookies and host go to the same origin, and to no other',
    run: () =>
      withClient(
        redirecting,
        ({ client, at }) =>
          withClient(redirecting, async (other) => {
            const headers = {
              authorization: 'secret',
              cookie: 'a=b',
              'proxy-authorization': 'p',
              'x-other': 'kept',
            };
            const follow = async (location: string): Promise<Seen> =>
              (await (await client.fetch(at(to(location)), { headers })).json()) as Seen;
            const same = await follow('/x');
            assert.deepEqual([same.headers['authorization'], same.headers['cookie']], ['secret', 'a=b']);
            const foreign = await follow(other.at('/x'));
            for (const name of ['authorization', 'cookie', 'proxy-authorization']) {
              assert.equal(foreign.headers[name], undefined, name);
            }
            assert.equal(foreign.headers['x-other'], 'kept');
          }),
        { client: { serverCertificateHashes: undefined, insecure: true } },
      ),
  },
  {
    name: 'a redirect to http, to another scheme, to no URL, or with a user name elsewhere is a network error',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        for (const location of [
          'http://localhost/',
          'data:,x',
          'https://[',
          'https://user:pass@localhost:1/',
        ]) {
          const cause = await networkError(client.fetch(at(to(location))), 'ERR_H3_CLIENT_REDIRECT');
          assert.equal(cause.remote, true);
        }
      }),
  },
  {
    name: 'twenty redirects are followed, one more is a network error, and so is one more than maxRedirects',
    async run() {
      await withClient(redirecting, async ({ client, server, at }) => {
        assert.equal(await (await client.fetch(at('/count?20'))).text(), 'arrived');
        await networkError(client.fetch(at('/count?21')), 'ERR_H3_CLIENT_REDIRECT_LIMIT');
        const before = server.getStats().requests;
        await networkError(client.fetch(at('/loop')), 'ERR_H3_CLIENT_REDIRECT_LIMIT');
        assert.equal(server.getStats().requests - before, 21n);
      });
      await withClient(
        redirecting,
        async ({ client, at }) => {
          await (await client.fetch(at('/x'))).text();
          await networkError(client.fetch(at('/count?1')), 'ERR_H3_CLIENT_REDIRECT_LIMIT');
        },
        { client: { maxRedirects: 0 } },
      );
    },
  },
  {
    name: 'manual gives the redirect itself, error makes it a network error',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        const url = at(to('/x', 307));
        const response = await client.fetch(url, { redirect: 'manual' });
        assert.deepEqual([response.status, response.headers.get('location'), response.url], [307, '/x', url]);
        assert.deepEqual([response.redirected, await response.text()], [false, 'moved']);
        await networkError(client.fetch(url, { redirect: 'error' }), 'ERR_H3_CLIENT_REDIRECT_REFUSED');
        const plain = await client.fetch(at('/x'), { redirect: 'error' });
        assert.equal(((await plain.json()) as Seen).method, 'GET');
      }),
  },
  {
    name: 'a redirect without a location is a response like any other',
    run: () =>
      withClient(redirecting, async ({ client, at }) => {
        const response = await client.fetch(at('/bare'));
        assert.deepEqual(
          [response.status, response.redirected, await response.text()],
          [302, false, 'nowhere'],
        );
      }),
  },
]);
