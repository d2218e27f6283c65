// `H3Client.close()`: what was begun before it goes on, whatever it waits for; `destroy()` ends that, too.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { H3Client } from 'trilane';
import { clientSpecs, withClient } from '../harness/client-stage.js';
import { deferred, soon } from '../harness/deadline.js';
import { networkError } from '../harness/failure.js';
import { onSessions } from '../harness/session-stage.js';

const path: (request: Request) => Response = ({ url }) => new Response(new URL(url).pathname);

/** Runs `run` with the URL of a port whose owner answers nothing. */
async function withSilence(run: (url: string) => Promise<void>): Promise<void> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    await run(`https://127.0.0.1:${socket.address().port}/`);
  } finally {
    socket.close();
  }
}

async function text(sent: Promise<{ text(): Promise<string> }>): Promise<string> {
  return (await soon('a response', sent)).text();
}

export const specs = clientSpecs([
  {
    name: 'requests whose connection is being made when the client closes get their responses',
    run: () =>
      withClient(path, async ({ client, at }) => {
        const begun = [client.fetch(at('/a')), client.fetch(at('/b'), { method: 'POST', body: 'x' })];
        const closed = client.close();
        const late = client.fetch(at('/late'));
        await networkError(late, 'ERR_H3_CLIENT_CLOSED');
        assert.deepEqual(await Promise.all(begun.map(text)), ['/a', '/b']);
        await soon('client.close()', closed);
        assert.equal(client.getStats().connectionsActive, 0);
        assert.equal(client.getStats().requests, 2n);
      }),
  },
  {
    name: 'a body that is being opened, a signal, and a streamed upload are waited for as well',
    run: () =>
      withClient(
        async (request) => new Response(await request.text()),
        async ({ client, at }) => {
          const stream = new Blob(['streamed']).stream();
          const begun = [
            client.fetch(at('/'), { method: 'POST', body: new Blob(['blob']) }),
            client.fetch(at('/'), {
              method: 'POST',
              body: 'signal',
              signal: new AbortController().signal,
            }),
            client.fetch(at('/'), { method: 'POST', body: stream, duplex: 'half' }),
          ];
          const closed = client.close();
          assert.deepEqual(await Promise.all(begun.map(text)), ['blob', 'signal', 'streamed']);
          await soon('client.close()', closed);
        },
      ),
  },
  {
    name: 'a redirect that comes while the client closes is followed',
    run: () =>
      withClient(
        (request) =>
          request.url.endsWith('/from')
            ? new Response(null, { status: 302, headers: { location: '/to' } })
            : path(request),
        async ({ client, at }) => {
          const direct = client.fetch(at('/from'));
          const inSteps = client.fetch(at('/from'), { signal: new AbortController().signal });
          const closed = client.close();
          assert.deepEqual([await text(direct), await text(inSteps)], ['/to', '/to']);
          await soon('client.close()', closed);
        },
      ),
  },
  {
    name: 'a request whose connection cannot be made fails for that reason, and the client is closed',
    run: () =>
      withSilence(async (url) => {
        const client = new H3Client({ insecure: true, connectTimeoutMs: 200 });
        const begun = client.fetch(url);
        const closed = client.close();
        await networkError(begun, 'ERR_H3_CLIENT_CONNECT_TIMEOUT');
        await soon('client.close()', closed);
      }),
  },
  {
    name: 'a request that is given up holds no close up',
    run: () =>
      withSilence(async (url) => {
        const client = new H3Client({ insecure: true });
        const controller = new AbortController();
        const begun = client.fetch(url, { signal: controller.signal });
        const closed = client.close();
        controller.abort(new Error('enough'));
        await assert.rejects(begun, /enough/);
        await soon('client.close()', closed);
      }),
  },
  {
    name: 'destroy() ends what close() waits for: a connection, a resolver',
    run: () =>
      withSilence(async (url) => {
        const asked = deferred();
        const client = new H3Client({
          insecure: true,
          resolve: () => {
            asked.resolve();
            return new Promise(() => undefined);
          },
        });
        const connecting = client.fetch(url);
        const resolving = client.fetch('https://server.example/');
        await soon('the resolver', asked.promise);
        const closed = client.close();
        client.destroy(new Error('enough'));
        for (const begun of [connecting, resolving]) {
          const error = await networkError(begun, 'ERR_H3_CLIENT_CLOSED');
          assert.equal((error.cause as Error).message, 'enough');
        }
        await soon('client.close()', closed);
        await soon('client.closed', client.closed);
      }),
  },
  {
    name: 'a resolver that does not answer within connectTimeoutMs fails the request',
    async run() {
      const client = new H3Client({
        insecure: true,
        connectTimeoutMs: 100,
        resolve: () => new Promise(() => undefined),
      });
      const error = await networkError(
        client.fetch('https://server.example/'),
        'ERR_H3_CLIENT_CONNECT_TIMEOUT',
      );
      assert.match(error.message, /resolve/);
      await soon('client.close()', client.close());
    },
  },
  onSessions('a session that is being opened when its client closes is opened', async ({ server, ask }) => {
    const client = new H3Client({ serverCertificateHashes: [server.certificateHash] });
    const session = ask('/', { allowPooling: true, client });
    const closed = client.close();
    await soon('ready', session.ready);
    session.close({ closeCode: 3 });
    assert.equal((await session.closed).closeCode, 3);
    await soon('client.close()', closed);
  }),
]);
