// What goes wrong on the way: each a TypeError `fetch failed` with a cause of its own, in time, and nothing left pending.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connectQuic, H3Client, type H3ErrorCode, isH3Error } from 'trilane';
import type { H3ClientOptions } from '../../lib/client/options.js';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { soon } from '../harness/deadline.js';
import { expiredPair } from '../harness/expired-pair.js';
import { networkError, rejection } from '../harness/failure.js';
import { twoPairs } from '../harness/pair.js';
import type { Spec } from './spec.js';

const ok: Answering = () => new Response('ok');

/** Fails to fetch `url` with a client of its own. */
async function failing(url: string, options: H3ClientOptions, code: H3ErrorCode): Promise<Error> {
  const client = new H3Client(options);
  try {
    return await networkError(client.fetch(url), code);
  } finally {
    client.destroy();
  }
}

/** Runs `run` with the port of a UDP socket that never answers. */
async function withSilence(run: (port: number) => Promise<void>): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    await run(socket.address().port);
  } finally {
    socket.close();
  }
}

/** A fact: a server of this package is not believed by a client with these options. */
function disbelieved(name: string, options: () => H3ClientOptions, code: H3ErrorCode, message: RegExp): Spec {
  return {
    name,
    run: () =>
      withClient(ok, async ({ server, at }) => {
        const error = await failing(at('/'), options(), code);
        assert.match(error.message, message);
        assert.equal(server.getStats().requests, 0n);
      }),
  };
}

export const specs = clientSpecs([
  {
    name: 'a host that has no address',
    run: () => failing('https://nothing.invalid/', {}, 'ERR_H3_CLIENT_NAME_NOT_FOUND').then(() => undefined),
  },
  {
    name: 'a port on which nobody listens is refused, long before the timeout',
    async run() {
      const socket = createSocket('udp4');
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      const { port } = socket.address();
      socket.close();
      await once(socket, 'close');
      const began = performance.now();
      await failing(`https://127.0.0.1:${port}/`, {}, 'ERR_H3_CLIENT_REFUSED');
      assert.ok(performance.now() - began < 2_000);
    },
  },
  {
    name: 'a server that never answers, after connectTimeoutMs',
    run: () =>
      withSilence(async (port) => {
        const began = performance.now();
        await failing(
          `https://127.0.0.1:${port}/`,
          { connectTimeoutMs: 300 },
          'ERR_H3_CLIENT_CONNECT_TIMEOUT',
        );
        const ms = performance.now() - began;
        assert.ok(ms >= 250 && ms < 5_000, `${ms} ms`);
      }),
  },
  disbelieved(
    'a certificate that nobody vouches for',
    () => ({}),
    'ERR_H3_CLIENT_CERTIFICATE_ISSUER',
    /ca|serverCertificateHashes/,
  ),
  disbelieved(
    'a certificate of another issuer than ca',
    () => ({ ca: twoPairs()[0].cert }),
    'ERR_H3_CLIENT_CERTIFICATE_ISSUER',
    /./,
  ),
  disbelieved(
    'a certificate with another hash than the pinned one',
    () => ({ serverCertificateHashes: [new Uint8Array(32)] }),
    'ERR_H3_CLIENT_PIN_MISMATCH',
    /[0-9a-f]{64}/i,
  ),
  {
    name: 'a pinned certificate that has expired, and the message says since when',
    run() {
      const { hash, ...server } = expiredPair();
      return withClient(
        ok,
        async ({ at }) => {
          const options = { serverCertificateHashes: [hash] };
          const error = await failing(at('/'), options, 'ERR_H3_CLIENT_PIN_EXPIRED');
          assert.match(error.message, /valid from .* GMT to .* GMT: make a new one on the server/);
        },
        { server },
      );
    },
  },
  {
    name: 'a pinned certificate that may not be pinned, and the message says why',
    run() {
      const [server] = twoPairs();
      const der = Uint8Array.from(atob(server.cert.replaceAll(/-----.*?-----|\s/g, '')), (c) =>
        c.charCodeAt(0),
      );
      const hash = createHash('sha256').update(der).digest();
      return withClient(
        ok,
        async ({ at }) => {
          const options = { serverCertificateHashes: [hash] };
          const error = await failing(at('/'), options, 'ERR_H3_CLIENT_PIN_UNSUITABLE');
          assert.match(error.message, /may be for 14 at most: make a new one/);
        },
        { server },
      );
    },
  },
  {
    name: 'a server that speaks none of the protocols, and the message names them',
    run: () =>
      withClient(ok, async ({ server }) => {
        const { hostname, port } = server.url;
        const trust = { serverCertificateHashes: [server.certificateHash] };
        const connecting = connectQuic(`quic://${hostname}:${port}`, { alpn: 'telemetry', ...trust });
        const error = await rejection(connecting);
        assert.ok(isH3Error(error) && error.code === 'ERR_H3_CLIENT_ALPN', String(error));
        assert.match(error.message, /telemetry/);
      }),
  },
  {
    name: 'a body that the end of the connection cuts short says how that ended',
    run: () => {
      const answer = (): Response =>
        new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(10)) }));
      return withClient(answer, async ({ client, server, at }) => {
        const response = await client.fetch(at('/'));
        const reading = networkError(response.text(), 'ERR_H3_CLIENT_CONNECTION_LOST', 'terminated');
        await soon('the stop', server.stop(true));
        const { cause } = await reading;
        assert.ok(isH3Error(cause) && cause.code === 'ERR_H3_CONNECTION_CLOSED', String(cause));
        assert.deepEqual([cause.remote, cause.wireCode], [true, 0x100]);
        assert.match(cause.message, /the server closed it with H3_NO_ERROR/);
      });
    },
  },
  {
    name: 'a certificate for another host',
    run() {
      const [pair] = twoPairs();
      return withClient(
        ok,
        async ({ server }) => {
          const options = { ca: pair.cert, resolve: () => '127.0.0.1' };
          const url = `https://other.example:${server.port}/`;
          const error = await failing(url, options, 'ERR_H3_CLIENT_CERTIFICATE_HOST');
          assert.match(error.message, /localhost/);
        },
        { server: pair, client: { serverCertificateHashes: undefined, ca: pair.cert } },
      );
    },
  },
  {
    name: 'ca makes a server believed, and resolve says where it is',
    run() {
      const [pair] = twoPairs();
      const asked: string[] = [];
      const resolve = async (host: string): Promise<string[]> => {
        asked.push(host);
        return ['127.0.0.1'];
      };
      return withClient(
        ok,
        async ({ client, server }) => {
          const response = await client.fetch(`https://localhost:${server.port}/`);
          assert.equal(await response.text(), 'ok');
          assert.deepEqual(asked, ['localhost']);
        },
        { server: pair, client: { serverCertificateHashes: undefined, ca: pair.cert, resolve } },
      );
    },
  },
  {
    name: 'a server that demands a certificate of a client without one',
    run() {
      const [pair] = twoPairs();
      const demanding = { clientCertificates: 'require', ca: pair.cert } as const;
      return withClient(
        ok,
        async ({ client, at }) => {
          await networkError(client.fetch(at('/')), 'ERR_H3_CLIENT_IDENTITY_REFUSED');
        },
        { server: demanding },
      );
    },
  },
  {
    name: 'no response within headersTimeoutMs, and the server is told',
    run: () =>
      withClient(
        () => new Promise<Response>(() => undefined),
        async ({ client, at }) => {
          await networkError(client.fetch(at('/')), 'ERR_H3_CLIENT_HEADERS_TIMEOUT');
        },
        { client: { headersTimeoutMs: 200 } },
      ),
  },
  {
    name: 'a body that stands still for bodyTimeoutMs, while it is read',
    run: () =>
      withClient(
        () =>
          new Response(
            new ReadableStream({
              start: (controller) => controller.enqueue(new Uint8Array(10)),
            }),
          ),
        async ({ client, at }) => {
          const response = await client.fetch(at('/'));
          await networkError(response.text(), 'ERR_H3_CLIENT_BODY_TIMEOUT', 'terminated');
        },
        { client: { bodyTimeoutMs: 200 } },
      ),
  },
  {
    name: 'headers larger than maxResponseHeaderBytes',
    run: () =>
      withClient(
        () => new Response('', { headers: { 'x-large': 'x'.repeat(2_000) } }),
        async ({ client, at }) => {
          await networkError(client.fetch(at('/')), 'ERR_H3_CLIENT_HEADERS_TOO_LARGE');
        },
        { client: { maxResponseHeaderBytes: 1_000 } },
      ),
  },
  {
    name: 'a server that drops its connections',
    run: () =>
      withClient(
        () => new Promise<Response>(() => undefined),
        async ({ client, server, at }) => {
          const waiting = networkError(client.fetch(at('/')), 'ERR_H3_CONNECTION_CLOSED');
          while (server.getStats().requestsActive === 0)
            await new Promise((resolve) => setTimeout(resolve, 5));
          await server.stop(true);
          assert.equal((await waiting).remote, true);
        },
      ),
  },
  {
    name: 'a server that is back is found again',
    run: () =>
      withClient(ok, async ({ client, server, at }) => {
        assert.equal(await (await client.fetch(at('/'))).text(), 'ok');
        await soon('the stop', server.stop(true));
        const { port } = server;
        await networkError(client.fetch(at('/')), 'ERR_H3_CLIENT_REFUSED');
        server.start();
        if (server.port === port) assert.equal(await (await client.fetch(at('/'))).text(), 'ok');
      }),
  },
]);
