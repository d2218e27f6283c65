// Requests of one turn cross the border together, and so do their responses: none of them may notice.

import assert from 'node:assert/strict';
import { makeResponse } from '../../lib/client/response.js';
import type { ResponseParts } from '../../lib/client/transport.js';
import { clientSpecs, withClient } from '../harness/client-stage.js';
import { soon } from '../harness/deadline.js';
import { networkError, rejection, usageMistake } from '../harness/failure.js';

const echo = async (request: Request): Promise<Response> =>
  new Response(await request.arrayBuffer(), { headers: { 'x-path': new URL(request.url).pathname } });

/** A body of so many bytes, by which it can be told from its neighbours. */
const bodyOf = (index: number, bytes: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(bytes).fill(index % 251);

export const specs = clientSpecs([
  {
    name: '600 requests of one turn each get their own answer, whatever the sizes of their bodies',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        // None; small ones, more than one batch has room for; and some that are no small ones.
        const sizeOf = (index: number): number => [0, 1, 700, 4096, 4097, 20_000][index % 6] ?? 0;
        const answers = Array.from({ length: 600 }, async (_, index) => {
          const body = bodyOf(index, sizeOf(index));
          const response = await client.fetch(at(`/${index}`), { method: 'POST', body });
          assert.equal(response.headers.get('x-path'), `/${index}`);
          assert.deepEqual(new Uint8Array(await response.arrayBuffer()), body);
        });
        await soon('600 answers', Promise.all(answers), 20_000);
      }),
  },
  {
    name: 'a request that cannot be sent does not keep those of its turn from being sent',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const before = client.fetch(at('/before'));
        const refused = client.fetch('https://localhost:0/');
        const behind = client.fetch(at('/behind'));
        await usageMistake(refused, 'ERR_H3_CLIENT_REQUEST');
        for (const [sent, path] of [
          [before, '/before'],
          [behind, '/behind'],
        ] as const) {
          const response = await soon(path, sent);
          assert.equal(response.headers.get('x-path'), path);
          await response.text();
        }
      }),
  },
  {
    name: 'a request that is given up in its own turn ends, and its neighbours do not',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const control = new AbortController();
        const reason = new Error('not wanted');
        const before = client.fetch(at('/before'));
        const unwanted = rejection(client.fetch(at('/'), { signal: control.signal }));
        const behind = client.fetch(at('/behind'));
        control.abort(reason);
        assert.equal(await unwanted, reason);
        for (const sent of [before, behind]) assert.equal(await (await soon('an answer', sent)).text(), '');
      }),
  },
  {
    name: 'closing a client in the turn of a request lets it finish, destroying one ends it',
    async run() {
      await withClient(echo, async ({ client, at }) => {
        await (await client.fetch(at('/'))).text();
        const sent = client.fetch(at('/'), { method: 'POST', body: 'last' });
        const closed = client.close();
        assert.equal(await (await soon('the answer', sent)).text(), 'last');
        await soon('the end', closed);
      });
      await withClient(echo, async ({ client, at }) => {
        const sent = client.fetch(at('/'));
        client.destroy();
        await networkError(sent, 'ERR_H3_CLIENT_CLOSED');
      });
    },
  },
  {
    name: 'bodies that came together have memory of their own, however they are read',
    run: () =>
      withClient(echo, async ({ client, at }) => {
        const { signal } = new AbortController();
        const readers: ((response: Response) => Promise<Uint8Array>)[] = [
          async (response) => new Uint8Array(await response.arrayBuffer()),
          (response) => (response as unknown as { bytes(): Promise<Uint8Array> }).bytes(),
          async (response) => (await response.body?.getReader().read())?.value ?? new Uint8Array(),
          async (response) => new Uint8Array(await (await response.blob()).arrayBuffer()),
        ];
        const jobs = Array.from({ length: 64 }, async (_, index) => {
          const init = index % 8 < 4 ? {} : { signal };
          const body = bodyOf(index, 32);
          const response = await client.fetch(at('/'), { method: 'POST', body, ...init });
          const bytes = await readers[index % 4]?.(response);
          assert.ok(bytes !== undefined);
          assert.deepEqual([bytes.byteLength, bytes.buffer.byteLength], [32, 32], `reader ${index % 4}`);
          bytes.fill(255);
          return index;
        });
        assert.equal((await soon('64 bodies', Promise.all(jobs))).length, 64);
      }),
  },
  {
    name: 'a response has the members of a Response, each with the value of one',
    run: () =>
      withClient(
        () => new Response('{"a":1}', { status: 201, headers: { 'content-type': 'application/json' } }),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          const model = new Response('', { status: 201 });
          for (const key of Reflect.ownKeys(Response.prototype)) {
            if (key === 'constructor') continue;
            assert.ok(key in response, String(key));
            const kind = typeof Reflect.get(model, key);
            assert.equal(typeof Reflect.get(response, key), kind, String(key));
          }
          assert.equal(Object.prototype.toString.call(response), '[object Response]');
          assert.equal(response.headers, response.headers);
          assert.equal(response.body, response.body);
          response.headers.set('x-own', 'yes');
          const clone = response.clone();
          assert.equal(clone.headers.get('x-own'), 'yes');
          assert.deepEqual([clone.status, clone.bodyUsed], [201, false]);
          const remade = new Response(response.body, response);
          assert.deepEqual([remade.status, remade.headers.get('x-own')], [201, 'yes']);
          assert.deepEqual(await remade.json(), { a: 1 });
          assert.equal(response.bodyUsed, true);
          assert.deepEqual(await clone.json(), { a: 1 });
        },
      ),
  },
  {
    name: 'blanks around the value of a field are no part of it',
    run() {
      for (const fields of ['\0x-a: one \0x-b:two', '\0x-b:two\0x-a:\tone', '\0x-b:two\0x-a:one ']) {
        const parts = { status: 200, fields, body: null } as ResponseParts;
        const { headers } = makeResponse(null, { parts, url: '', redirected: false, decoded: false });
        assert.deepEqual([headers.get('x-a'), headers.get('x-b')], ['one', 'two']);
      }
    },
  },
  {
    name: 'a body is read once: then it is used, and neither read nor cloned again',
    run: () =>
      withClient(
        () => new Response('once'),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          assert.equal(response.bodyUsed, false);
          assert.equal(await response.text(), 'once');
          assert.equal(response.bodyUsed, true);
          for (const again of [() => response.text(), () => response.blob(), () => response.json()]) {
            assert.ok((await rejection(again())) instanceof TypeError);
          }
          assert.throws(() => response.clone(), TypeError);
        },
      ),
  },
]);
