// HTTP datagrams of our client's requests (RFC 9297), as QUIC datagrams and in capsules.

import assert from 'node:assert/strict';
import { type H3DatagramContext, type H3ServeOptions, isH3Error } from 'trilane';
import { type ClientStage, withClient } from '../harness/client-stage.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { networkError, rejection } from '../harness/failure.js';
import { LossyPath } from '../harness/lossy-path.js';
import type { Spec } from './spec.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);

/** A server whose `/upload` is a POST and `/tunnel` a CONNECT for `connect-udp`, both of which send datagrams back. */
function on(
  name: string,
  run: (stage: ClientStage) => Promise<void>,
  options: Partial<H3ServeOptions> = {},
): Spec {
  const h3Datagram = (payload: Uint8Array, context: H3DatagramContext): void =>
    void context.sendReply(payload);
  const routes = [
    { method: 'POST', pattern: '/upload', h3Datagram },
    { method: 'CONNECT', pattern: '/tunnel', protocol: 'connect-udp', h3Datagram },
    { method: 'GET', pattern: '/none', fetch: () => new Response('none') },
  ];
  const server = { ...options, routes: [...routes, ...((options.routes ?? []) as [])] } as H3ServeOptions;
  return { name, run: () => withClient(() => new Response('', { status: 404 }), run, { server }) };
}

/** Reads one, sending again what may have been lost. */
async function echoed(
  datagrams: { readable: ReadableStream<Uint8Array>; send(data: Uint8Array): boolean },
  message: string,
): Promise<void> {
  const reader = datagrams.readable.getReader();
  assert.equal(datagrams.send(bytes(message)), true);
  assert.equal(text((await soon('an echo', reader.read())).value), message);
  reader.releaseLock();
}

export const specs: Spec[] = [
  on('a request whose body goes on carries datagrams both ways', async ({ client, at, server }) => {
    const uploading = deferred<ReadableStreamDefaultController<Uint8Array>>();
    const body = new ReadableStream<Uint8Array>({ start: (controller) => uploading.resolve(controller) });
    const { response, datagrams } = await soon(
      'the response',
      client.request(at('/upload'), { method: 'POST', body, duplex: 'full' }),
    );
    assert.equal(response.status, 200);
    await echoed(datagrams, 'beside the body');
    (await uploading.promise).close();
    assert.equal(await response.text(), '');
    await until('the end of the request', () => server.getStats().requestsActive === 0);
    assert.equal(datagrams.send(bytes('late')), false);
  }),
  on('an extended CONNECT carries datagrams until the program ends it', async ({ client, at, server }) => {
    const { response, datagrams } = await soon(
      'the tunnel',
      client.request(at('/tunnel'), { method: 'CONNECT', protocol: 'connect-udp' }),
    );
    assert.equal(response.status, 200);
    assert.ok(datagrams.maxDatagramSize >= 1000);
    await echoed(datagrams, 'one');
    const writer = datagrams.writable.getWriter();
    await writer.write(bytes('two'));
    const reader = datagrams.readable.getReader();
    assert.equal(text((await soon('an echo', reader.read())).value), 'two');
    assert.equal(datagrams.send(new Uint8Array(65_536)), false);
    assert.throws(() => datagrams.send('text' as unknown as Uint8Array), { code: 'ERR_H3_DATAGRAM' });
    await response.body?.cancel();
    await until('the end of the tunnel', () => server.getStats().requestsActive === 0);
    assert.equal(datagrams.send(bytes('late')), false);
    assert.equal(datagrams.maxDatagramSize, 0);
  }),
  on('a path that takes no tunnel answers, and its datagrams end', async ({ client, at }) => {
    const { response, datagrams } = await client.request(at('/none'), {
      method: 'CONNECT',
      protocol: 'connect-udp',
    });
    assert.ok(response.status >= 400, `${response.status}`);
    await response.arrayBuffer();
    assert.equal(datagrams.send(bytes('x')), false);
  }),
  on('a signal ends the tunnel on both sides', async ({ client, at, server }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const { response, datagrams } = await client.request(at('/tunnel'), {
      method: 'CONNECT',
      protocol: 'connect-udp',
      signal,
    });
    await echoed(datagrams, 'x');
    const reading = datagrams.readable.getReader().read();
    reading.catch(() => undefined);
    const reason = new Error('enough');
    controller.abort(reason);
    await rejection(reading);
    assert.equal(await rejection(response.text()), reason);
    await until('the end of the tunnel', () => server.getStats().requestsActive === 0);
    assert.equal(datagrams.send(bytes('late')), false);
  }),
  (() => {
    const came = deferred<H3DatagramContext>();
    const h3Datagram = (_: Uint8Array, context: H3DatagramContext): void => came.resolve(context);
    return on(
      'a server that stops ends the tunnel with an error',
      async ({ client, at, server }) => {
        const { response, datagrams } = await client.request(at('/held'), {
          method: 'CONNECT',
          protocol: 'connect-udp',
        });
        datagrams.send(bytes('x'));
        const context = await soon('the datagram', came.promise);
        const reading = datagrams.readable.getReader().read();
        reading.catch(() => undefined);
        await server.stop(true);
        const error = await rejection(reading);
        assert.ok(error instanceof Error, String(error));
        await rejection(response.arrayBuffer());
        assert.equal(context.sendReply(bytes('late')), false);
      },
      { routes: [{ method: 'CONNECT', pattern: '/held', protocol: 'connect-udp', h3Datagram }] },
    );
  })(),
  on(
    'a server that vanishes ends the tunnel by its silence',
    async ({ server }) => {
      const { H3Client } = await import('trilane');
      const fate = { drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
      const path = await LossyPath.open(server.port, fate, 1);
      const client = new H3Client({
        serverCertificateHashes: [server.certificateHash],
        idleTimeoutMs: 300,
      });
      try {
        const { response, datagrams } = await client.request(new URL('/tunnel', path.url), {
          method: 'CONNECT',
          protocol: 'connect-udp',
        });
        await echoed(datagrams, 'x');
        const reading = datagrams.readable.getReader().read();
        reading.catch(() => undefined);
        fate.drop = 1;
        await networkError(response.arrayBuffer(), 'ERR_H3_CLIENT_CONNECTION_LOST', 'terminated');
        assert.ok((await rejection(reading)) instanceof Error);
      } finally {
        client.destroy();
        path.close();
      }
    },
    { limits: { idleTimeoutMs: 300 } },
  ),
  on('a server without extended CONNECT is an error of its own', async ({ client, at }) => {
    const fetched = client.request(at('/tunnel'), { method: 'CONNECT', protocol: 'own-token' });
    const outcome = await fetched.then(
      ({ response }) => response.status,
      (error: unknown) => error,
    );
    assert.ok(typeof outcome === 'number' ? outcome >= 400 : isH3Error(outcome), String(outcome));
  }),
];
