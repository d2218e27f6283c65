import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createH3Server, type H3ErrorCode, type H3ServeOptions } from 'trilane';
import { Connection, PeerError } from '../harness/connection.js';
import { soon, until } from '../harness/deadline.js';
import { twoPairs } from '../harness/pair.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const LOOPBACK = '127.0.0.1';
const fetch = (): Response => new Response('hello');

/** A UDP port of the loopback address that somebody else has bound. */
async function occupied(run: (port: number) => Promise<void> | void): Promise<void> {
  const socket: Socket = createSocket('udp4');
  socket.bind(0, LOOPBACK);
  await soon('the socket', once(socket, 'listening'));
  try {
    await run(socket.address().port);
  } finally {
    await closed(socket);
  }
}

async function closed(socket: Socket): Promise<void> {
  const over = once(socket, 'close');
  socket.close();
  await soon('the socket to close', over);
}

/** Throws unless the port can be bound. */
async function assertFree(port: number): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(port, LOOPBACK);
  await soon(`port ${port} to be free`, once(socket, 'listening'));
  await closed(socket);
}

/** A fact: these options are refused with this code and a message that helps, and no port is left bound. */
function refused(name: string, options: () => H3ServeOptions, code: H3ErrorCode, message: RegExp): Spec {
  return {
    name: `${name} is refused with ${code}, and nothing is left behind`,
    run: () =>
      occupied(async (port) => {
        // The port is taken until here, so that nobody else can be the one who has it afterwards.
        assert.throws(
          () => createH3Server({ hostname: LOOPBACK, port, fetch, ...options() }),
          (error: unknown) => {
            const { code: actual, message: text } = error as { code?: unknown; message: string };
            assert.equal(actual, code, text);
            assert.match(text, message);
            assert.doesNotMatch(text, /PRIVATE KEY|unwrap|panicked/);
            return true;
          },
        );
      }),
  };
}

export const specs: Spec[] = [
  {
    name: 'a port in use is ERR_H3_ADDRESS_IN_USE and names the port; freed, it can be had',
    async run() {
      let taken = 0;
      await occupied((port) => {
        taken = port;
        assert.throws(
          () => createH3Server({ hostname: LOOPBACK, port, fetch }),
          (error: unknown) => {
            const { code, message, name } = error as { code?: unknown; message: string; name: string };
            assert.deepEqual([name, code], ['H3Error', 'ERR_H3_ADDRESS_IN_USE']);
            assert.match(message, new RegExp(`${port}`));
            return true;
          },
        );
      });
      await withServer({ port: taken, fetch }, async ({ connection, server }) => {
        assert.equal(server.port, taken);
        assert.equal((await connection.get()).text, 'hello');
      });
    },
  },
  {
    name: 'two servers cannot have one port, and the first one goes on',
    run: () =>
      withServer({ fetch }, async ({ connection, server }) => {
        const options = { hostname: LOOPBACK, port: server.port, fetch };
        assert.throws(() => createH3Server(options), { code: 'ERR_H3_ADDRESS_IN_USE' });
        assert.equal((await connection.get()).text, 'hello');
      }),
  },
  refused('a hostname that is none', () => ({ hostname: 'no such host' }), 'ERR_H3_BIND', /no such host/),
  refused('an address of another machine', () => ({ hostname: '192.0.2.1' }), 'ERR_H3_BIND', /192\.0\.2\.1/),
  refused(
    'a pattern with a wildcard in the middle',
    () => ({ routes: [{ method: 'GET', pattern: '/a/*/b', fetch }] }),
    'ERR_H3_ROUTE_PATTERN',
    /\/a\/\*\/b/,
  ),
  refused(
    'a pattern with a parameter without a name',
    () => ({ routes: [{ method: 'GET', pattern: '/a/:', fetch }] }),
    'ERR_H3_ROUTE_PATTERN',
    /\/a\/:/,
  ),
  refused(
    'a pattern with one name twice',
    () => ({ routes: [{ method: 'GET', pattern: '/:a/:a', fetch }] }),
    'ERR_H3_ROUTE_PATTERN',
    /:a/,
  ),
  refused(
    'a route given twice',
    () => ({
      routes: [
        { method: 'GET', pattern: '/users/:id', fetch },
        { method: ['POST', 'GET'], pattern: '/users/:name', fetch },
      ],
    }),
    'ERR_H3_ROUTE_DUPLICATE',
    /GET.*\/users\/:name/,
  ),
  refused(
    'a certificate that is PEM of nothing',
    () => ({
      cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      key: twoPairs()[0].key,
    }),
    'ERR_H3_CERTIFICATE',
    /cert/i,
  ),
  refused(
    'a key that is PEM of nothing',
    () => ({
      cert: twoPairs()[0].cert,
      key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
    }),
    'ERR_H3_CERTIFICATE',
    /key/i,
  ),
  refused(
    'a key of another certificate',
    () => ({ cert: twoPairs()[0].cert, key: twoPairs()[1].key }),
    'ERR_H3_CERTIFICATE',
    /match|belong/i,
  ),
  refused(
    'a certificate and a key that changed places',
    () => ({ cert: twoPairs()[0].key, key: twoPairs()[0].cert }),
    'ERR_H3_CERTIFICATE',
    /swapped|places|certificate/i,
  ),
  refused(
    'a broken certificate for one host name',
    () => ({ sni: { 'a.test': { cert: twoPairs()[0].cert, key: twoPairs()[1].key } } }),
    'ERR_H3_CERTIFICATE',
    /a\.test/,
  ),
  refused(
    'an unknown option',
    () => ({ hostnames: LOOPBACK }) as H3ServeOptions,
    'ERR_H3_OPTION_UNKNOWN',
    /did you mean "hostname"/,
  ),
  {
    name: 'a hundred refused constructions leave no port bound and no thread behind',
    async run() {
      const [{ cert }, { key }] = twoPairs();
      for (let n = 0; n < 100; n++) {
        assert.throws(() => createH3Server({ hostname: LOOPBACK, cert, key, fetch }));
      }
      await withServer({ fetch }, async ({ connection, server }) => {
        assert.equal((await connection.get()).text, 'hello');
        await soon('stop', server.stop());
        await assertFree(server.port);
      });
    },
  },
  {
    name: 'a certificate given as text or bytes is the one that clients see',
    async run() {
      const [{ cert, key }] = twoPairs();
      const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
      for (const given of [
        { cert, key },
        { cert: bytes(cert), key: bytes(key) },
      ]) {
        await withServer({ ...given, fetch }, async ({ server }) => {
          const trusting = await Connection.open(`https://localhost:${server.port}`, { caPem: cert });
          assert.equal((await trusting.get()).text, 'hello');
          assert.equal(hex(server.certificateHash), trusting.certificateSha256);
          await trusting.close();
        });
      }
    },
  },
  {
    name: 'without a certificate one is made whose hash is that of server.certificateHash',
    run: () =>
      withServer({ fetch }, async ({ server }) => {
        const certSha256 = hex(server.certificateHash);
        const pinned = await Connection.open(server.url, { certSha256 });
        assert.equal((await pinned.get()).text, 'hello');
        await pinned.close();
        const wrong = certSha256.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
        await assert.rejects(Connection.open(server.url, { certSha256: wrong }), PeerError);
      }),
  },
  {
    name: 'server.certificate is the certificate that clients are shown, in DER, and what certificateHash is of',
    async run() {
      const [first, second] = twoPairs();
      await withServer({ ...first, fetch }, async ({ server, connection, connect }) => {
        assert.equal(sha256(server.certificate), connection.certificateSha256);
        assert.equal(sha256(server.certificate), hex(server.certificateHash));
        assert.equal(new X509Certificate(server.certificate).toString().trim(), first.cert.trim());
        server.updateTls(second);
        const later = await connect();
        assert.equal(sha256(server.certificate), later.certificateSha256);
      });
      await withServer({ fetch }, async ({ server, connection }) => {
        assert.equal(sha256(server.certificate), connection.certificateSha256);
        server.certificate.fill(0);
        assert.equal(sha256(server.certificate), connection.certificateSha256, 'a copy was given');
      });
    },
  },
  {
    name: 'each host name gets its own certificate, and any other the default',
    async run() {
      const [first, second] = twoPairs();
      await withServer({ ...first, sni: { 'a.test': second }, fetch }, async ({ connection, connect }) => {
        const named = await connect({ sni: 'a.test' });
        const other = await connect({ sni: 'b.test' });
        assert.notEqual(named.certificateSha256, connection.certificateSha256);
        assert.equal(other.certificateSha256, connection.certificateSha256);
      });
    },
  },
  {
    name: 'a client without a common protocol is refused and counted',
    run: () =>
      withServer({ fetch }, async ({ connect, server, connection }) => {
        await assert.rejects(connect({ alpn: ['h2'] }), PeerError);
        await until('the failure to be counted', () => server.getStats().handshakesFailed === 1n);
        assert.equal((await connection.get()).text, 'hello');
      }),
  },
];

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
