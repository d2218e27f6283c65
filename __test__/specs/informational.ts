import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createH3Server, type H3Request, type H3Server } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { getHeaders, rawGet } from '../harness/raw-request.js';
import { REQUEST_KINDS, withServer } from '../harness/stage.js';
import { DATA, frame } from '../harness/wire.js';
import type { Spec } from './spec.js';

const LINK = '</style.css>; rel=preload; as=style';

/** The type of a HEADERS frame (RFC 9114 §7.2.2). */
const HEADERS_TYPE = '01';

export const specs: Spec[] = [
  ...REQUEST_KINDS.map((request) => ({
    name: `${request}: interim answers arrive before the final one, in order, with their fields`,
    run: () =>
      withServer(
        {
          request,
          async fetch(incoming, server) {
            const sent = [
              server.informational(incoming, 103, { Link: LINK }),
              server.informational(incoming, 102),
              await Promise.resolve().then(() => server.informational(incoming, 103, [['x-a', '1']])),
            ];
            return Response.json(sent);
          },
        },
        async ({ connection }) => {
          const answer = await connection.get();
          assert.equal(answer.status, 200);
          assert.deepEqual(answer.json, [true, true, true]);
          assert.deepEqual(answer.informational, [
            { status: 103, headers: [['link', LINK]] },
            { status: 102, headers: [] },
            { status: 103, headers: [['x-a', '1']] },
          ]);
        },
      ),
  })),
  {
    name: 'an interim answer does not wait for the handler',
    async run() {
      const go = deferred();
      const fetch = async (incoming: H3Request, server: H3Server): Promise<Response> => {
        if (incoming.url.endsWith('/ping')) return new Response('pong');
        server.informational(incoming, 103, { link: LINK });
        await go.promise;
        return new Response('late');
      };
      await withServer({ fetch }, async ({ connection, server }) => {
        const stream = await rawGet(connection, server.url);
        const early = await stream.read(1);
        assert.ok(early.bytes.length > 0 && !early.fin);
        go.resolve();
        const rest = await stream.read();
        assert.ok(rest.fin);
        assert.ok(rest.bytes.toString('latin1').endsWith('late'));
      });
    },
  },
  {
    name: 'it is too late for an interim answer once the final one is on its way, and when the client is gone',
    async run() {
      const late: boolean[] = [];
      const seen = deferred<H3Request>();
      const aborted = deferred();
      const fetch = async (incoming: H3Request, server: H3Server): Promise<Response> => {
        if (incoming.url.endsWith('/wait')) {
          incoming.signal.addEventListener('abort', () => aborted.resolve());
          seen.resolve(incoming);
          await aborted.promise;
          late.push(server.informational(incoming, 103));
        }
        setTimeout(() => late.push(server.informational(incoming, 103)), 0);
        return new Response('done');
      };
      await withServer({ fetch }, async ({ connection }) => {
        assert.deepEqual((await connection.get('/')).informational, []);
        const open = await connection.open({ path: '/wait', read: 'none' });
        await soon('the request', seen.promise);
        await open.cancel();
        await soon('the abort', aborted.promise);
        assert.equal((await connection.get('/')).status, 200);
        await until('all to be tried', () => late.length === 4);
        assert.deepEqual(late, [false, false, false, false]);
      });
    },
  },
  {
    // RFC 9110 §15.2, §8.6; RFC 9114 §4.5
    name: 'what is no interim answer is refused at once, and nothing of it is sent',
    async run() {
      const thrown: unknown[] = [];
      const fetch = (incoming: H3Request, server: H3Server): Response => {
        const attempts: [number, Record<string, string>?][] = [
          [101],
          [200],
          [99],
          [-1],
          [103.5],
          [Number.NaN],
          [103, { 'content-length': '1' }],
          [103, { connection: 'close' }],
          [103, { 'a b': '1' }],
          [103, { a: 'b\nc' }],
        ];
        for (const [status, headers] of attempts) {
          try {
            server.informational(incoming, status, headers);
            thrown.push(null);
          } catch (error) {
            thrown.push([error instanceof RangeError, (error as { code?: string }).code]);
          }
        }
        return new Response('done');
      };
      await withServer({ fetch }, async ({ connection }) => {
        const answer = await connection.get();
        assert.equal(answer.text, 'done');
        assert.deepEqual(answer.informational, []);
        assert.deepEqual(thrown, [
          ...Array.from({ length: 6 }, () => [true, 'ERR_H3_RESPONSE_STATUS']),
          ...Array.from({ length: 4 }, () => [false, 'ERR_H3_HEADER']),
        ]);
      });
    },
  },
  {
    name: 'a request of another server, or of none, gets no interim answer',
    async run() {
      const other = createH3Server({ hostname: '127.0.0.1', fetch: () => new Response('other') });
      const sent: boolean[] = [];
      const fetch = (incoming: H3Request): Response => {
        sent.push(other.informational(incoming, 103), other.informational(new Request('https://a/'), 103));
        return Response.json(other.requestIP(incoming));
      };
      try {
        await withServer({ fetch }, async ({ connection }) => {
          const answer = await connection.get();
          assert.deepEqual([answer.json, answer.informational, sent], [null, [], [false, false]]);
        });
      } finally {
        other.close();
      }
    },
  },
  {
    name: 'interim answers go before what the error handler answers',
    run: () =>
      withServer(
        {
          fetch(incoming, server) {
            server.informational(incoming, 103, { link: LINK });
            throw new Error('after a hint');
          },
          error: () => new Response('sorry', { status: 503 }),
        },
        async ({ connection }) => {
          const answer = await connection.get();
          assert.deepEqual([answer.status, answer.informational.length], [503, 1]);
        },
      ),
  },
  ...(['buffered', 'streaming'] as const).map((mode) => ({
    // RFC 9110 §10.1.1
    name: `${mode}: a client that expects 100 (Continue) gets it when its body is wanted`,
    async run() {
      const fetch = async (incoming: H3Request): Promise<Response> => new Response(await incoming.text());
      await withServer({ fetch, mode }, async ({ connection, server }) => {
        const stream = await connection.openStream();
        await stream.write({ headers: expecting(server.url, '100-continue') });
        const first = await stream.read(1);
        assert.equal(first.bytes.subarray(0, 1).toString('hex'), HEADERS_TYPE);
        assert.ok(first.bytes.length < 10 && !first.fin, 'an interim head and nothing else');
        await stream.write({ bytes: frame(DATA, Buffer.from('content')), fin: true });
        const rest = await stream.read();
        assert.ok(rest.fin && rest.bytes.toString('latin1').endsWith('content'));
      });
    },
  })),
  {
    // RFC 9110 §10.1.1
    name: 'a streaming handler that answers without reading sends no 100 (Continue)',
    run: () =>
      withServer(
        { mode: 'streaming', fetch: () => new Response('no', { status: 403 }) },
        async ({ connection }) => {
          const answer = await connection.request({
            method: 'POST',
            headers: [['expect', '100-continue']],
            body: 'x',
          });
          assert.deepEqual([answer.status, answer.informational], [403, []]);
        },
      ),
  },
  {
    // RFC 9110 §10.1.1
    name: 'an unknown expectation is answered 417',
    run: () =>
      withServer({ fetch: () => new Response('no') }, async ({ connection }) => {
        const answer = await connection.request({ headers: [['expect', 'miracles']] });
        assert.equal(answer.status, 417);
        assert.equal((await connection.get()).status, 200);
      }),
  },
];

function expecting(url: URL, expectation: string): [name: string, value: string][] {
  const head = getHeaders(url).map(([name, value]): [string, string] => [
    name,
    name === ':method' ? 'POST' : value,
  ]);
  return [...head, ['expect', expectation]];
}
