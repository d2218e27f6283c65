// The browser's WebTransport class on our client: opening, refusing, closing, losing (W3C WebTransport §6).

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { H3Client, isH3Error, WebTransport, WebTransportError, type WebTransportOptions } from 'trilane';
import { soon, until } from '../harness/deadline.js';
import { rejection } from '../harness/failure.js';
import { LossyPath } from '../harness/lossy-path.js';
import { onSessions as on, withSessions } from '../harness/session-stage.js';
import { withServer } from '../harness/stage.js';
import { runSessionChecks } from '../interop/session-checks.js';
import { sessionRoutes } from '../interop/session-routes.js';
import type { Spec } from './spec.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Waits until `promise` rejects with the WebTransportError of a session, and returns it. */
async function sessionError(promise: Promise<unknown>): Promise<WebTransportError> {
  const error = await rejection(promise);
  assert.ok(error instanceof WebTransportError, String(error));
  assert.equal(error.source, 'session');
  assert.equal(error.streamErrorCode, null);
  return error;
}

/** `promise`, which may reject before anybody waits for it. */
function held<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}

/** Waits until `promise` rejects with a DOMException of this name. */
async function domError(promise: Promise<unknown>, name: string): Promise<void> {
  const error = await rejection(promise);
  assert.ok(error instanceof DOMException, String(error));
  assert.equal(error.name, name);
}

/** A fact: the constructor refuses these arguments. */
function refuses(what: string, url: string, options: unknown, name: string): Spec {
  return {
    name: `${what}: the constructor throws a ${name}`,
    run: () => {
      assert.throws(
        () => new WebTransport(url, options as WebTransportOptions),
        (error: Error) => error.name === name,
      );
    },
  };
}

/** Behind a function: it changes. */
const responseHeaders = (session: WebTransport): Headers | null => session.responseHeaders;

const HTTPS = 'https://localhost:1/';
const hash = { algorithm: 'sha-256', value: new Uint8Array(32) };

export const specs: Spec[] = [
  refuses('a URL that is none', 'nonsense', undefined, 'SyntaxError'),
  refuses('a URL without a host', 'https://', undefined, 'SyntaxError'),
  refuses('a URL that is not https', 'http://localhost/', undefined, 'SyntaxError'),
  refuses('a URL with a fragment', `${HTTPS}#a`, undefined, 'SyntaxError'),
  refuses('a URL with an empty fragment', `${HTTPS}#`, undefined, 'SyntaxError'),
  refuses(
    'hashes with pooling',
    HTTPS,
    { allowPooling: true, serverCertificateHashes: [hash] },
    'NotSupportedError',
  ),
  refuses('a protocol that is there twice', HTTPS, { protocols: ['a', 'a'] }, 'SyntaxError'),
  refuses('an empty protocol', HTTPS, { protocols: [''] }, 'SyntaxError'),
  refuses('a protocol that is not ASCII', HTTPS, { protocols: ['ä'] }, 'SyntaxError'),
  refuses('a protocol of 513 characters', HTTPS, { protocols: ['p'.repeat(513)] }, 'SyntaxError'),
  refuses('an unknown congestion control', HTTPS, { congestionControl: 'magic' }, 'TypeError'),
  refuses('an unknown type of datagrams', HTTPS, { datagramsReadableType: 'text' }, 'TypeError'),
  refuses('options that are text', HTTPS, 'text', 'TypeError'),
  refuses('hashes that are no list', HTTPS, { serverCertificateHashes: 1 }, 'TypeError'),
  refuses(
    'a hash without bytes',
    HTTPS,
    { serverCertificateHashes: [{ algorithm: 'sha-256' }] },
    'TypeError',
  ),
  refuses(
    'a header that is made of an option',
    HTTPS,
    { headers: { 'WT-Available-Protocols': 'a' } },
    'TypeError',
  ),
  refuses('an unknown option of the client', HTTPS, { client: { trust: true } }, 'TypeError'),
  refuses(
    'trust that contradicts hashes',
    HTTPS,
    { serverCertificateHashes: [hash], client: { insecure: true } },
    'TypeError',
  ),
  {
    name: 'unknown options are ignored, as in browsers',
    async run() {
      const session = new WebTransport(HTTPS, { later: true } as WebTransportOptions);
      session.close();
      await sessionError(session.closed);
    },
  },
  on('a session is pending, then open; its attributes say so', async ({ ask }) => {
    assert.equal(WebTransport.supportsReliableOnly, false);
    const session = ask('/', { congestionControl: 'low-latency', requireUnreliable: true });
    assert.equal(session.reliability, 'pending');
    assert.equal(responseHeaders(session), null);
    assert.equal(session.datagrams.maxDatagramSize, 0);
    assert.equal(await soon('ready', session.ready), undefined);
    assert.equal(session.reliability, 'supports-unreliable');
    assert.equal(session.congestionControl, 'default');
    assert.equal(session.protocol, '');
    assert.ok(session.datagrams.maxDatagramSize >= 1000);
    assert.equal(responseHeaders(session)?.get('sec-webtransport-http3-draft'), 'draft02');
    assert.equal(String(session), '[object WebTransport]');
    for (const name of [
      'ready',
      'closed',
      'draining',
      'datagrams',
      'incomingBidirectionalStreams',
    ] as const) {
      assert.equal(session[name], session[name], `${name} is the same each time`);
    }
  }),
  on('the request has the headers of the program, and an origin only if it gives one', async ({ open }) => {
    const { server } = await open('/', { headers: { origin: 'https://a.example', 'x-token': 'secret' } });
    const { headers, method } = server.request;
    assert.equal(method, 'CONNECT');
    assert.deepEqual(
      [headers.get('origin'), headers.get('x-token'), headers.get('sec-webtransport-http3-draft02')],
      ['https://a.example', 'secret', '1'],
    );
    assert.match(headers.get('user-agent') ?? '', /^trilane\//);
    const bare = await open();
    assert.equal(bare.server.request.headers.get('origin'), null);
  }),
  on(
    'the server chooses one of the protocols',
    async ({ open }) => {
      const { client } = await open('/', { protocols: ['chat', 'pl"ay'] });
      assert.equal(client.protocol, 'pl"ay');
      assert.equal(client.responseHeaders?.has('wt-protocol'), false);
    },
    { accept: (session: { accept(options: object): void }) => session.accept({ protocol: 'pl"ay' }) },
  ),
  on(
    'a protocol that was not offered ends the session',
    async ({ ask }) => {
      const session = ask('/', { protocols: ['chat'] });
      assert.match((await sessionError(session.ready)).message, /"other", which was not offered/);
      await sessionError(session.closed);
    },
    {
      accept: (session: { accept(options: object): void }) =>
        session.accept({ headers: { 'wt-protocol': '"other"' } }),
    },
  ),
  on('a refused session rejects everything that waits for it', async ({ ask }) => {
    const session = ask('/refused');
    const streams = held(session.incomingBidirectionalStreams.getReader().read());
    const datagrams = held(session.datagrams.readable.getReader().read());
    const opening = held(session.createBidirectionalStream());
    const writing = held(session.datagrams.createWritable().getWriter().closed);
    const stats = held(session.getStats());
    const error = await sessionError(session.ready);
    assert.match(error.message, /status 403/);
    for (const promise of [session.closed, streams, datagrams, writing]) {
      assert.equal(await rejection(promise), error);
    }
    await domError(opening, 'InvalidStateError');
    await domError(stats, 'InvalidStateError');
    await domError(session.createUnidirectionalStream(), 'InvalidStateError');
    assert.throws(() => session.datagrams.createWritable(), { name: 'InvalidStateError' });
    assert.equal(session.reliability, 'pending');
  }),
  on('a page that answers with 200 and content is no session', async ({ ask }) => {
    assert.match((await sessionError(ask('/nowhere').ready)).message, /breaks the rules of HTTP\/3/);
  }),
  on('a certificate that is not trusted has its own error as cause', async ({ ask, at }) => {
    const pinned = ask('/', { serverCertificateHashes: [hash] });
    const cause = (await sessionError(pinned.ready)).cause;
    assert.ok(isH3Error(cause) && cause.code === 'ERR_H3_CLIENT_PIN_MISMATCH', String(cause));
    const unknown = new WebTransport(at('/'));
    const issuer = (await sessionError(unknown.ready)).cause;
    assert.ok(isH3Error(issuer) && issuer.code === 'ERR_H3_CLIENT_CERTIFICATE_ISSUER', String(issuer));
  }),
  on(
    'hashes of unknown algorithms are ignored, and alone they trust nobody',
    async ({ ask, server, open }) => {
      const unknown = { algorithm: 'sha-512', value: new Uint8Array(64) };
      await sessionError(ask('/', { serverCertificateHashes: [unknown] }).ready);
      const known = { algorithm: 'sha-256', value: server.certificateHash };
      await open('/', { serverCertificateHashes: [unknown, known] });
    },
  ),
  {
    name: 'a server without WebTransport is told apart',
    run: () =>
      withServer({ fetch: () => new Response('http') }, async ({ server }) => {
        const { cause } = await sessionError(
          new WebTransport(server.url, { client: { insecure: true } }).ready,
        );
        assert.ok(isH3Error(cause) && cause.code === 'ERR_H3_CLIENT_UNSUPPORTED', String(cause));
      }),
  },
  on('close() while it connects fails it, and the server hears of no session', async ({ ask }) => {
    const session = ask();
    session.close({ closeCode: 1 });
    const error = await sessionError(session.ready);
    assert.equal(await rejection(session.closed), error);
    session.close();
  }),
  on('close() tells the server code and reason, and ends what waits', async ({ open }) => {
    const { client, server } = await open();
    const { readable, writable } = await client.createBidirectionalStream();
    const reading = held(readable.getReader().read());
    const writer = writable.getWriter();
    void held(writer.closed);
    await writer.write(bytes('x'));
    const incoming = held(client.incomingUnidirectionalStreams.getReader().read());
    const datagram = held(client.datagrams.readable.getReader().read());
    const sending = held(client.datagrams.writable.getWriter().closed);
    client.close({ closeCode: 0xffffffff, reason: 'enough ✓' });
    assert.deepEqual(await soon('closed', client.closed), { closeCode: 0xffffffff, reason: 'enough ✓' });
    assert.deepEqual(await soon('closed', server.closed), { closeCode: 0xffffffff, reason: 'enough ✓' });
    await domError(reading, 'AbortError');
    await domError(writer.closed, 'AbortError');
    assert.equal((await incoming).done, true);
    assert.equal((await datagram).done, true);
    await domError(sending, 'AbortError');
    await domError(client.createBidirectionalStream(), 'InvalidStateError');
    assert.equal(client.datagrams.maxDatagramSize, 0);
    client.close({ closeCode: 2 });
    assert.ok(((await client.getStats()).bytesSent ?? 0) > 0, 'the last numbers');
  }),
  on('a reason is cut at 1,024 bytes, between characters', async ({ open }) => {
    const { client, server } = await open();
    client.close({ reason: '✓'.repeat(400) });
    assert.equal((await soon('closed', server.closed)).reason, '✓'.repeat(341));
  }),
  on('a session that the server closes resolves with its code, and ends what waits', async ({ open }) => {
    const { client, server } = await open();
    const { readable } = await client.createBidirectionalStream();
    const reading = held(readable.getReader().read());
    const incoming = client.incomingBidirectionalStreams.getReader().read();
    server.close(77, 'over');
    assert.deepEqual(await soon('closed', client.closed), { closeCode: 77, reason: 'over' });
    await sessionError(reading);
    assert.equal((await incoming).done, true);
    await domError(client.createUnidirectionalStream(), 'InvalidStateError');
  }),
  on('draining resolves when the server asks for it', async ({ open }) => {
    const { client, server } = await open();
    server.drain();
    await soon('draining', client.draining);
    assert.ok((await client.createUnidirectionalStream()) instanceof WritableStream, 'it goes on');
  }),
  on('draining resolves when the server stops', async ({ open, server }) => {
    const { client } = await open();
    const stopped = server.stop();
    await soon('draining', client.draining);
    client.close();
    await soon('the stop', stopped);
  }),
  on('a connection that the server drops rejects everything', async ({ open, server }) => {
    const { client } = await open();
    const { readable, writable } = await client.createBidirectionalStream();
    const reading = held(readable.getReader().read());
    const incoming = held(client.incomingBidirectionalStreams.getReader().read());
    const datagram = held(client.datagrams.readable.getReader().read());
    await server.stop(true);
    const error = await sessionError(client.closed);
    for (const promise of [incoming, datagram]) assert.equal(await rejection(promise), error);
    for (const promise of [reading, writable.getWriter().closed]) await sessionError(promise);
    await domError(client.getStats(), 'InvalidStateError');
  }),
  on(
    'a server that vanishes is noticed by its silence',
    async ({ server }) => {
      const fate = { drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
      const path = await LossyPath.open(server.port, fate, 1);
      try {
        const client = new WebTransport(path.url, {
          serverCertificateHashes: [{ algorithm: 'sha-256', value: server.certificateHash }],
          client: { idleTimeoutMs: 400 },
        });
        await soon('ready', client.ready);
        const reading = held(client.incomingBidirectionalStreams.getReader().read());
        fate.drop = 1;
        assert.equal(await rejection(reading), await sessionError(client.closed));
      } finally {
        path.close();
      }
    },
    { limits: { idleTimeoutMs: 400 } },
  ),
  on('sessions have a connection each, unless they allow pooling', async ({ open, server }) => {
    const alone = await Promise.all([open(), open()]);
    assert.equal(server.getStats().connectionsActive, 2);
    for (const { client } of alone) client.close();
    await until('the end of both connections', () => server.getStats().connectionsActive === 0);
    const shared = new H3Client({ serverCertificateHashes: [server.certificateHash] });
    const pooled: { client: WebTransport }[] = [];
    for (let n = 0; n < 3; n++) pooled.push(await open('/', { allowPooling: true, client: shared }));
    assert.equal(await (await shared.fetch(new URL('/http', server.url))).text(), 'http');
    assert.equal(server.getStats().connectionsActive, 1);
    const dedicated = await open('/', { client: shared });
    assert.equal(server.getStats().connectionsActive, 2);
    const stats = await pooled[0]?.client.getStats();
    assert.deepEqual(Object.keys(stats ?? {}).sort(), [
      'atSendCapacity',
      'datagrams',
      'estimatedSendRate',
      'smoothedRtt',
    ]);
    for (const { client } of [...pooled, dedicated]) client.close();
    await soon('client.close()', shared.close());
    const late = new WebTransport(server.url, { client: shared });
    const { cause } = await sessionError(late.ready);
    assert.ok(isH3Error(cause) && cause.code === 'ERR_H3_CLIENT_CLOSED', String(cause));
  }),
  on('a client that is destroyed takes its sessions along', async ({ open, server }) => {
    const shared = new H3Client({ serverCertificateHashes: [server.certificateHash] });
    const { client } = await open('/', { allowPooling: true, client: shared });
    shared.destroy();
    await sessionError(client.closed);
    await shared.closed;
  }),
  on('getStats() counts what the connection carried', async ({ open }) => {
    const { client } = await open();
    const writer = (await client.createUnidirectionalStream()).getWriter();
    await writer.write(new Uint8Array(10_000));
    await writer.close();
    const stats = await client.getStats();
    assert.ok((stats.bytesSent ?? 0) > 10_000 && (stats.packetsSent ?? 0) > 8, JSON.stringify(stats));
    assert.ok((stats.smoothedRtt ?? 0) > 0 && stats.packetsLost !== undefined);
    assert.ok((stats.packetsReceived ?? 0) > 1 && (stats.bytesReceived ?? 0) > 1000, JSON.stringify(stats));
    assert.ok((stats.estimatedSendRate ?? 0) > 1000, JSON.stringify(stats));
    assert.equal(stats.atSendCapacity, false);
    assert.deepEqual(stats.datagrams, { droppedIncoming: 0, expiredIncoming: 0, expiredOutgoing: 0 });
    const later = await client.getStats();
    for (const name of ['bytesSent', 'bytesReceived', 'packetsSent', 'packetsReceived'] as const) {
      assert.ok((later[name] ?? 0) >= (stats[name] ?? 0), name);
    }
  }),
  {
    name: 'every check that browsers pass with our server',
    run: () =>
      withSessions(
        async ({ at, server, log }) => {
          const lines: string[] = [];
          await runSessionChecks({
            open: (path, options) =>
              new WebTransport(at(path), {
                serverCertificateHashes: [{ algorithm: 'sha-256', value: server.certificateHash }],
                ...options,
              }),
            streamError: (streamErrorCode) => new WebTransportError('', { streamErrorCode }),
            print: (line) => lines.push(line),
          });
          await sleep(0);
          const failed = lines.filter((line) => !line.includes('"ok":true'));
          assert.deepEqual(
            failed.filter((line) => line.startsWith('{')),
            [],
            lines.join('\n'),
          );
          log.take();
        },
        { routes: sessionRoutes() },
      ),
  },
];
