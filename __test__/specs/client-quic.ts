// Connections of raw QUIC datagrams, made by our client.

import assert from 'node:assert/strict';
import {
  type ConnectQuicOptions,
  connectQuic,
  createH3Server,
  type H3ServeOptions,
  type H3Server,
  isH3Error,
  type QUICDatagramContext,
} from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { rejection, usageMistake } from '../harness/failure.js';
import { LossyPath } from '../harness/lossy-path.js';
import { Log } from '../harness/stage.js';
import type { Spec } from './spec.js';

const ALPN = 'telemetry';
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);

interface Stage {
  readonly server: H3Server;
  /** What makes a client trust the server. */
  readonly trust: ConnectQuicOptions;
}

/** A server that sends back what comes. */
const echo = (payload: Uint8Array, context: QUICDatagramContext): void => void context.sendReply(payload);

function on(name: string, run: (stage: Stage) => Promise<void>, options: H3ServeOptions = {}): Spec {
  return {
    name,
    async run() {
      const logger = new Log();
      const server = createH3Server({
        hostname: '127.0.0.1',
        quicAlpn: [ALPN],
        quicDatagram: echo,
        fetch: () => new Response('http'),
        logger,
        ...options,
      });
      try {
        await run({ server, trust: { alpn: ALPN, serverCertificateHashes: [server.certificateHash] } });
        await until('the end of all connections', () => server.getStats().connectionsActive === 0);
      } finally {
        await soon('server.stop(true)', server.stop(true));
        server.close();
      }
      assert.deepEqual(logger.take(), []);
    },
  };
}

function mistake(what: string, target: unknown, options: unknown): Spec {
  return {
    name: `${what} is a usage error, and nothing is dialled`,
    async run() {
      const error = await rejection(connectQuic(target as string, options as ConnectQuicOptions));
      assert.ok(error instanceof TypeError || error instanceof RangeError, String(error));
      assert.match(String((error as { code?: unknown }).code), /^ERR_H3_/);
    },
  };
}

const QUIC = 'quic://localhost:1';

export const specs: Spec[] = [
  mistake('a target that is no URL', 'nonsense', { alpn: ALPN }),
  mistake('a URL of another scheme', 'http://localhost:1', { alpn: ALPN }),
  mistake('a quic: URL without a port', 'quic://localhost', { alpn: ALPN }),
  mistake('a target without a port', { hostname: 'localhost' }, { alpn: ALPN }),
  mistake('a target with a port that is none', { hostname: 'localhost', port: 0 }, { alpn: ALPN }),
  mistake('no options', QUIC, undefined),
  mistake('no protocol', QUIC, {}),
  mistake('an empty list of protocols', QUIC, { alpn: [] }),
  mistake('h3 as a protocol', QUIC, { alpn: 'h3' }),
  mistake('an unknown option', QUIC, { alpn: ALPN, trust: true }),
  mistake('an option of requests', QUIC, { alpn: ALPN, decompress: true }),
  mistake('a limit out of range', QUIC, { alpn: ALPN, idleTimeoutMs: 0 }),
  on('datagrams go both ways, by send() and by streams', async ({ server, trust }) => {
    const target = { hostname: '127.0.0.1', port: server.port };
    const connection = await soon('a connection', connectQuic(target, trust));
    assert.equal(connection.alpn, ALPN);
    assert.deepEqual(connection.remoteAddress, { address: '127.0.0.1', port: server.port, family: 'IPv4' });
    assert.match(connection.connectionIdHex, /^[0-9a-f]{32}$/);
    assert.equal(connection.connectionId.byteLength, 16);
    const reader = connection.datagrams.readable.getReader();
    assert.equal(connection.send(bytes('one')), true);
    assert.equal(text((await soon('an echo', reader.read())).value), 'one');
    const writer = connection.datagrams.writable.getWriter();
    await writer.write(bytes('two'));
    assert.equal(text((await soon('an echo', reader.read())).value), 'two');
    const { datagramsSent, datagramsReceived, handshakeMs, roundTripMs, bytesSent } = connection.getStats();
    assert.deepEqual([datagramsSent, datagramsReceived], [2n, 2n]);
    assert.ok(handshakeMs > 0 && roundTripMs > 0 && bytesSent > 1200n);
    await connection.close();
  }),
  on('a datagram that is too large, or is none, is not sent', async ({ server, trust }) => {
    const connection = await connectQuic(`quic://127.0.0.1:${server.port}`, trust);
    // It grows while the path is being probed.
    const { maxDatagramSize } = connection;
    assert.ok(maxDatagramSize >= 1_000 && connection.datagrams.maxDatagramSize >= maxDatagramSize);
    assert.equal(connection.send(new Uint8Array(maxDatagramSize)), true);
    assert.equal(connection.send(new Uint8Array(65_536)), false);
    assert.throws(() => connection.send('text' as unknown as Uint8Array), { code: 'ERR_H3_DATAGRAM' });
    await connection.close();
  }),
  on('the first of several protocols that the server speaks is agreed on', async ({ server, trust }) => {
    const connection = await connectQuic(server.url, { ...trust, alpn: ['other', ALPN] });
    assert.equal(connection.alpn, ALPN);
    await connection.close();
  }),
  on('a server without the protocol is an error of its own', async ({ server, trust }) => {
    const error = await rejection(connectQuic(server.url, { ...trust, alpn: 'other' }));
    assert.ok(isH3Error(error) && error.code === 'ERR_H3_CLIENT_ALPN', String(error));
  }),
  on('a certificate that is not trusted is an error of its own', async ({ server }) => {
    const error = await rejection(connectQuic(server.url, { alpn: ALPN }));
    assert.ok(isH3Error(error) && error.code === 'ERR_H3_CLIENT_CERTIFICATE_ISSUER', String(error));
    const pins = { serverCertificateHashes: [new Uint8Array(32)] };
    const pinned = await rejection(connectQuic(server.url, { alpn: ALPN, ...pins }));
    assert.ok(isH3Error(pinned) && pinned.code === 'ERR_H3_CLIENT_PIN_MISMATCH', String(pinned));
  }),
  (() => {
    const closed = deferred<unknown>();
    return on(
      'close() tells the server its code, once',
      async ({ server, trust }) => {
        const connection = await connectQuic(server.url, trust);
        const reading = connection.datagrams.readable.getReader().read();
        assert.deepEqual(await connection.close(17, 'done'), { remote: false, code: 17 });
        assert.deepEqual(await connection.close(18), { remote: false, code: 17 });
        assert.deepEqual(await soon('the close', closed.promise), { remote: true, code: 17 });
        assert.equal((await reading).done, true);
        assert.equal(connection.send(bytes('late')), false);
        assert.equal(connection.maxDatagramSize, 0);
        assert.throws(() => connection.close(-1), RangeError);
        await assert.rejects(connection.datagrams.writable.getWriter().write(bytes('late')), TypeError);
      },
      { onConnectionClose: (_connection, cause) => closed.resolve(cause) },
    );
  })(),
  on('a server that closes says so', async ({ server, trust }) => {
    const connection = await connectQuic(server.url, trust);
    const reader = connection.datagrams.readable.getReader();
    // Before its handshake is confirmed, QUIC cannot tell an application's code (RFC 9000 §10.2.3).
    connection.send(bytes('x'));
    await soon('an echo', reader.read());
    const reading = reader.read();
    await server.stop(true);
    assert.deepEqual(await soon('closed', connection.closed), { remote: true, code: 0 });
    assert.equal((await reading).done, true);
    assert.deepEqual(await connection.close(5), { remote: true, code: 0 });
  }),
  on(
    'a server that vanishes is noticed by its silence',
    async ({ server, trust }) => {
      const fate = { drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
      const path = await LossyPath.open(server.port, fate, 1);
      try {
        const connection = await connectQuic(path.url, { ...trust, idleTimeoutMs: 300 });
        const reading = connection.datagrams.readable.getReader().read();
        reading.catch(() => undefined);
        fate.drop = 1;
        const error = await rejection(connection.closed);
        assert.ok(isH3Error(error) && error.code === 'ERR_H3_CLIENT_CONNECTION_LOST', String(error));
        assert.equal(await rejection(reading), error);
      } finally {
        path.close();
      }
    },
    { limits: { idleTimeoutMs: 300 } },
  ),
  on('a signal gives the connecting up, and does not touch what is open', async ({ server, trust }) => {
    const reason = new Error('enough');
    const gone = connectQuic(server.url, { ...trust, signal: AbortSignal.abort(reason) });
    assert.equal(await rejection(gone), reason);
    const controller = new AbortController();
    const connecting = connectQuic(server.url, { ...trust, signal: controller.signal });
    controller.abort(reason);
    assert.equal(await rejection(connecting), reason);
    const later = new AbortController();
    const connection = await connectQuic(server.url, { ...trust, signal: later.signal });
    later.abort(reason);
    connection.send(bytes('still here'));
    assert.equal(text((await connection.datagrams.readable.getReader().read()).value), 'still here');
    await connection.close();
  }),
  on('resolve() names the addresses', async ({ server, trust }) => {
    const asked: string[] = [];
    const resolve = (name: string): string => {
      asked.push(name);
      return '127.0.0.1';
    };
    const connection = await connectQuic(`quic://somewhere.example:${server.port}`, { ...trust, resolve });
    assert.deepEqual(asked, ['somewhere.example']);
    await connection.close();
    await usageMistake(
      connectQuic(`quic://a.example:${server.port}`, { ...trust, resolve: () => 'nowhere' }),
      'ERR_H3_CLIENT_REQUEST',
    );
  }),
  on('of a burst that nobody reads the newest stay, and the rest is counted', async ({ server, trust }) => {
    const connection = await connectQuic(server.url, trust);
    const stats = (): ReturnType<typeof connection.getStats> => connection.getStats();
    for (let n = 0; stats().datagramsDroppedIncoming === 0n; n++) {
      assert.ok(n < 1000, 'nothing was dropped');
      for (let m = 0; m < 64; m++) connection.send(bytes(`${n * 64 + m}`));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const first = Number(text((await connection.datagrams.readable.getReader().read()).value));
    assert.ok(first > 0, `the first is ${first}`);
    await connection.close();
  }),
  on('asyncDispose closes, and unref() lets the process end', async ({ server, trust }) => {
    const connection = await connectQuic(server.url, trust);
    assert.equal(connection.unref(), connection);
    assert.equal(connection.ref(), connection);
    await connection[Symbol.asyncDispose]();
    assert.deepEqual(await connection.closed, { remote: false, code: 0 });
  }),
];
