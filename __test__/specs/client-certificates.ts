import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { X509Certificate } from 'node:crypto';
import { createH3Server, type H3Request, type H3ServeOptions, type H3Server } from 'trilane';
import { Connection, PeerError } from '../harness/connection.js';
import { until } from '../harness/deadline.js';
import { twoPairs } from '../harness/pair.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** TLS alerts (RFC 8446 §6). The pairs bear the same name, so it is the signature that does not fit. */
const DECRYPT_ERROR = 51;
const CERTIFICATE_REQUIRED = 116;

/** Answers with the certificate of the client. */
function tell(request: H3Request, server: H3Server): Response {
  const certificate = server.peerCertificate(request);
  return new Response(certificate === null ? 'nobody' : Buffer.from(certificate).toString('base64'));
}

/** What {@link tell} says to a client with this certificate. */
function told(pem: string): string {
  return new X509Certificate(pem).raw.toString('base64');
}

/** The TLS alert with which a client of `server` was turned away; it comes when the client's own handshake is over already. */
async function alertOf(server: H3Server, how: Parameters<typeof Connection.open>[1]): Promise<number | null> {
  try {
    const connection = await Connection.openRaw(server.url, how);
    const end = await connection.closed();
    assert.equal(end.kind, 'tls', JSON.stringify(end));
    return end.code;
  } catch (error) {
    assert.ok(error instanceof PeerError && error.failure.kind === 'tls', String(error));
    return error.failure.code;
  }
}

/** A fact about a server that knows the first of the two pairs. */
function fact(
  name: string,
  clientCertificates: 'request' | 'require',
  run: (server: H3Server) => Promise<void>,
  more: H3ServeOptions = {},
): Spec {
  return {
    name: `clientCertificates "${clientCertificates}": ${name}`,
    async run() {
      const [known] = twoPairs();
      const options: H3ServeOptions = { clientCertificates, ca: known.cert, fetch: tell, ...more };
      await withServer({ fetch: tell }, ({ connection }) =>
        connection.get().then(({ text }) => assert.equal(text, 'nobody', 'nobody is asked by default')),
      );
      await serving(options, run);
    },
  };
}

async function serving(options: H3ServeOptions, run: (server: H3Server) => Promise<void>): Promise<void> {
  const server = createH3Server({ hostname: '127.0.0.1', ...options });
  try {
    await run(server);
  } finally {
    server.close();
  }
}

async function ask(server: H3Server, how: Parameters<typeof Connection.open>[1]): Promise<string> {
  const connection = await Connection.open(server.url, how);
  const { text } = await connection.get();
  await connection.close();
  return text;
}

export const specs: Spec[] = [
  fact(
    'a client that has one shows it, and one that has none is served all the same',
    'request',
    async (server) => {
      const [known] = twoPairs();
      assert.equal(await ask(server, { identity: known }), told(known.cert));
      assert.equal(await ask(server, {}), 'nobody');
    },
  ),
  fact('a certificate that nobody known vouches for is refused', 'request', async (server) => {
    assert.equal(await alertOf(server, { identity: twoPairs()[1] }), DECRYPT_ERROR);
    await until('the refusal to be counted', () => server.getStats().handshakesFailed === 1n);
  }),
  fact('a client without one is refused, one with a known one is served', 'require', async (server) => {
    const [known] = twoPairs();
    assert.equal(await alertOf(server, {}), CERTIFICATE_REQUIRED);
    assert.equal(await alertOf(server, { identity: twoPairs()[1] }), DECRYPT_ERROR);
    assert.equal(await ask(server, { identity: known }), told(known.cert));
  }),
  fact('a session that is resumed has the certificate that it began with', 'require', async (server) => {
    const [known] = twoPairs();
    const how = { identity: known, session: 'client-certificate' };
    for (let visit = 0; visit < 3; visit++) assert.equal(await ask(server, how), told(known.cert));
  }),
  fact(
    'early data changes nothing about it',
    'require',
    async (server) => {
      const [known] = twoPairs();
      assert.equal(await alertOf(server, {}), CERTIFICATE_REQUIRED);
      assert.equal(await ask(server, { identity: known }), told(known.cert));
    },
    { earlyData: 'safe-methods' },
  ),
];
