import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createH3Server, type H3ErrorCode, type H3Request, type TlsUpdate } from 'trilane';
import { Connection, PeerError } from '../harness/connection.js';
import { soon, until } from '../harness/deadline.js';
import { withFolder } from '../harness/folder.js';
import { twoPairs } from '../harness/pair.js';
import { getHeaders } from '../harness/raw-request.js';
import { Log, REQUEST_KINDS, withServer } from '../harness/stage.js';
import { DATA, fieldSection, frame, HEADERS, payloads } from '../harness/wire.js';
import type { Spec } from './spec.js';

const LOOPBACK = '127.0.0.1';
const MOST_VISITS = 20;
const fetch = (): Response => new Response('hello');

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** A fact: this argument of updateTls() is refused, and the server goes on with what it had. */
function refused(name: string, update: () => unknown, code: H3ErrorCode, message: RegExp): Spec {
  return {
    name: `updateTls: ${name} is refused and changes nothing`,
    run() {
      const [{ cert, key }] = twoPairs();
      return withServer({ cert, key, fetch }, async ({ server, connection, connect }) => {
        assert.throws(() => server.updateTls(update() as TlsUpdate), { name: 'TypeError', code, message });
        assert.equal(hex(server.certificateHash), connection.certificateSha256);
        const next = await connect();
        assert.equal(next.certificateSha256, connection.certificateSha256);
        assert.equal((await next.get()).text, 'hello');
      });
    },
  };
}

/** Asks a handler that says what it was given; the first request in early data, the others later. */
async function earlyThenLate(url: URL, method: string, session: string): Promise<string[]> {
  const headers = getHeaders(url).map(
    ([name, value]) => [name, name === ':method' ? method : value] as const,
  );
  const request = frame(HEADERS, fieldSection(headers));
  const { connection, stream } = await Connection.openEarly(url, request, { session });
  assert.equal(connection.earlyData, true, 'the server took the early data');
  const early = await stream.read();
  const again = await connection.openStream();
  await again.write({ headers, fin: true });
  const late = await again.read();
  await connection.close();
  return [early, late].map(({ bytes }) => payloads(bytes, DATA).toString('utf8'));
}

/**
 * Comes back until an early request gets `answer`. One that the server sees only when the handshake is complete is none any
 * more, and gets `late`, as the second one always does.
 */
async function untilEarly(answer: string, visit: () => Promise<string[]>, late: string): Promise<void> {
  for (let visits = 0; visits < MOST_VISITS; visits++) {
    const [first, second] = await visit();
    assert.equal(second, late);
    if (first === answer) return;
    assert.equal(first, late);
  }
  assert.fail(`no request of ${MOST_VISITS} was early`);
}

export const specs: Spec[] = [
  {
    name: 'updateTls shows new handshakes another certificate, and the connections that are open live on',
    run() {
      const [old, next] = twoPairs();
      return withServer({ ...old, fetch }, async ({ server, connection, connect }) => {
        const before = hex(server.certificateHash);
        assert.equal(connection.certificateSha256, before);
        assert.equal(server.updateTls(next), server);
        const after = hex(server.certificateHash);
        assert.notEqual(after, before);
        const fresh = await connect({ certSha256: after });
        assert.equal((await fresh.get()).text, 'hello');
        assert.equal((await connection.get()).text, 'hello');
        await assert.rejects(connect({ certSha256: before }), PeerError);
        await until('the refusal to be counted', () => server.getStats().handshakesFailed === 1n);
      });
    },
  },
  {
    name: 'updateTls reads files, and takes the place of a development certificate',
    run: () =>
      withFolder((folder) =>
        withServer({ fetch }, async ({ server, connection, connect }) => {
          const [{ cert, key }] = twoPairs();
          const [certPath, keyPath] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
          writeFileSync(certPath, cert);
          writeFileSync(keyPath, key);
          server.updateTls({ certPath, keyPath: pathToFileURL(keyPath) });
          assert.notEqual(hex(server.certificateHash), connection.certificateSha256);
          assert.equal((await (await connect({ caPem: cert, sni: 'localhost' })).get()).text, 'hello');
        }),
      ),
  },
  {
    name: 'updateTls leaves what it does not name: the default beside new host names, host names beside a new default',
    run() {
      const [one, two] = twoPairs();
      return withServer({ ...one, fetch }, async ({ server, connection, connect }) => {
        const shown = async (sni: string): Promise<string> => (await connect({ sni })).certificateSha256;
        const first = connection.certificateSha256;
        server.updateTls({ sni: { 'a.test': two } });
        const second = await shown('a.test');
        assert.notEqual(second, first);
        assert.equal(await shown('other.test'), first);
        server.updateTls(two);
        assert.deepEqual([await shown('a.test'), await shown('other.test')], [second, second]);
        server.updateTls({ ...one, sni: {} });
        assert.deepEqual([await shown('a.test'), await shown('other.test')], [first, first]);
      });
    },
  },
  {
    name: 'updateTls works on a stopped server and throws ERR_H3_SERVER_CLOSED on a closed one',
    async run() {
      const [one, two] = twoPairs();
      const server = createH3Server({ hostname: LOOPBACK, ...one, fetch, logger: new Log() });
      await soon('stop', server.stop());
      server.updateTls(two).start();
      const connection = await Connection.open(server.url);
      assert.equal(connection.certificateSha256, hex(server.certificateHash));
      await connection.close();
      server.close();
      assert.throws(() => server.updateTls(one), { name: 'H3Error', code: 'ERR_H3_SERVER_CLOSED' });
    },
  },
  refused('no argument', () => undefined, 'ERR_H3_OPTION_TYPE', /updateTls\(\) is undefined/),
  refused('an empty one', () => ({}), 'ERR_H3_OPTION_TYPE', /no certificate/),
  refused('an unknown name', () => ({ certs: 'x' }), 'ERR_H3_OPTION_UNKNOWN', /did you mean "cert"/),
  refused(
    'a certificate without its key',
    () => ({ cert: twoPairs()[1].cert }),
    'ERR_H3_OPTION_TYPE',
    /without "key"/,
  ),
  refused(
    'a file that is not there',
    () => ({ certPath: 'no-such-file.pem', keyPath: 'no-such-file.pem' }),
    'ERR_H3_OPTION_FILE',
    /no-such-file/,
  ),
  refused(
    'a key of another certificate',
    () => ({ cert: twoPairs()[1].cert, key: twoPairs()[0].key }),
    'ERR_H3_CERTIFICATE',
    /does not belong/,
  ),
  refused(
    'a good default beside a host name that cannot be',
    () => ({ ...twoPairs()[1], sni: { '*': twoPairs()[1] } }),
    'ERR_H3_CERTIFICATE',
    /"\*"/,
  ),
  refused(
    'a good default beside a broken host name',
    () => ({ ...twoPairs()[1], sni: { 'a.test': { cert: twoPairs()[1].cert, key: twoPairs()[0].key } } }),
    'ERR_H3_CERTIFICATE',
    /a\.test/,
  ),
  ...REQUEST_KINDS.map(
    (request): Spec => ({
      name: `earlyData "safe-methods": a ${request} request says whether it came early, and what is not safe is answered 425`,
      run: () => {
        const tell = ({ method, earlyData }: H3Request): Response =>
          new Response(`${method} ${earlyData ? 'early' : 'late'}`);
        const options = { request, earlyData: 'safe-methods', fetch: tell } as const;
        return withServer(options, async ({ server, connect }) => {
          const session = `early-${request}`;
          const first = await connect({ session });
          assert.equal((await first.get()).text, 'GET late');
          for (const [method, answer] of [
            ['GET', 'GET early'],
            ['OPTIONS', 'OPTIONS early'],
            ['POST', 'Too Early'],
          ] as const) {
            await untilEarly(answer, () => earlyThenLate(server.url, method, session), `${method} late`);
          }
        });
      },
    }),
  ),
  ...([{}, { sessionResumption: 'off' }, { sessionResumption: 'tickets' }] as const).map(
    (options): Spec => ({
      name: `no early data is possible with ${JSON.stringify(options)}`,
      run: () =>
        withServer({ ...options, fetch }, async ({ server, connect }) => {
          const session = `never-${JSON.stringify(options)}`;
          assert.equal((await (await connect({ session })).get()).text, 'hello');
          await assert.rejects(
            earlyThenLate(server.url, 'GET', session),
            (error) => error instanceof PeerError && error.failure.kind === 'usage',
          );
          assert.equal((await (await connect({ session })).get()).text, 'hello');
        }),
    }),
  ),
];
