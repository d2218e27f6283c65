import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { H3Request } from 'trilane';
import { Connection } from '../harness/connection.js';
import { REQUEST_KINDS, type Stage, withServer } from '../harness/stage.js';
import { DATA, fieldSection, frame, HEADERS, payloads } from '../harness/wire.js';
import type { Spec } from './spec.js';

const BODY_LIMIT = 1000;

/** The same fact for both kinds of request, with the fallback `fetch` and a body limit of 1,000 bytes. */
function each(
  name: string,
  fetch: (request: H3Request) => Response | Promise<Response>,
  run: (stage: Stage) => Promise<void>,
): Spec[] {
  return REQUEST_KINDS.map((request) => ({
    name: `${request}: ${name}`,
    run: () => withServer({ request, fetch, maxBodyBytes: BODY_LIMIT }, run),
  }));
}

/** Sends a HEADERS frame of literals, one byte a character, and returns the body of the answer. */
async function rawRequest(url: URL, fields: [name: string, value: string][]): Promise<Buffer> {
  const connection = await Connection.openRaw(url);
  const stream = await connection.openStream();
  await stream.write({ bytes: frame(HEADERS, fieldSection(fields)), fin: true });
  const { bytes, fin } = await stream.read();
  assert.ok(fin, 'the answer ends cleanly');
  await connection.close();
  return payloads(bytes, DATA);
}

function pseudo(url: URL, method: string, path: string): [name: string, value: string][] {
  return [
    [':method', method],
    [':scheme', 'https'],
    [':authority', url.host],
    [':path', path],
  ];
}

/** A multipart body with a text and a file. */
function multipart(boundary: string): string {
  return [
    `--${boundary}`,
    'Content-Disposition: form-data; name="title"',
    '',
    'grüße',
    `--${boundary}`,
    'Content-Disposition: form-data; name="file"; filename="a.txt"',
    'Content-Type: text/plain',
    '',
    'line 1\nline 2',
    `--${boundary}--`,
    '',
  ].join('\r\n');
}

export const specs: Spec[] = [
  ...each(
    'method and url are those of the client, the query as it was written',
    (request) => Response.json([request.method, request.url]),
    async ({ connection, server }) => {
      const answer = await connection.request({ method: 'PATCH', path: '/a%20b/c?x=1&y=%20&x=2' });
      assert.deepEqual(answer.json, ['PATCH', `https://${server.url.host}/a%20b/c?x=1&y=%20&x=2`]);
    },
  ),
  ...each(
    'a method that fetch does not know arrives as it is',
    (request) => new Response(request.method),
    async ({ connection }) => {
      for (const method of ['PURGE', 'PROPFIND', 'get', 'M-SEARCH']) {
        assert.equal((await connection.request({ method })).text, method);
      }
    },
  ),
  ...each(
    'header fields of one name are joined, cookies with a semicolon (RFC 9114 §4.2.1)',
    ({ headers }) => Response.json([headers.get('x-many'), headers.get('cookie'), headers.get('x-none')]),
    async ({ connection }) => {
      const headers = [
        ['x-many', 'one'],
        ['cookie', 'a=1'],
        ['x-many', 'two, three'],
        ['cookie', 'b=2'],
      ] as const;
      const answer = await connection.request({ headers });
      // RFC9114-4.2.1-cookie-joined
      assert.deepEqual(answer.json, ['one, two, three', 'a=1; b=2', null]);
    },
  ),
  ...each(
    'every byte of a header value is a character, as fetch says',
    ({ headers }) => Response.json(Array.from(headers.get('x-bytes') ?? '', (char) => char.charCodeAt(0))),
    async ({ server }) => {
      const value = Array.from({ length: 128 }, (_, byte) => String.fromCharCode(byte + 128)).join('');
      const body = await rawRequest(server.url, [
        ...pseudo(server.url, 'GET', '/'),
        ['x-bytes', value],
        ['x-after', 'ascii'],
      ]);
      assert.deepEqual(
        JSON.parse(`${body}`),
        Array.from({ length: 128 }, (_, byte) => byte + 128),
      );
    },
  ),
  ...each(
    'non-ASCII headers do not shift those of the other requests of a turn',
    ({ headers, url }) => Response.json([new URL(url).pathname, headers.get('x-n'), headers.get('x-text')]),
    async ({ connection }) => {
      const numbers = Array.from({ length: 60 }, (_, n) => n);
      const answers = await Promise.all(
        numbers.map((n) => {
          const headers = [
            ['x-text', n % 3 === 0 ? 'é'.repeat(n) : 'e'.repeat(n)],
            ['x-n', `${n}`],
          ] as const;
          return connection.get(`/${n}`, { headers });
        }),
      );
      for (const [n, answer] of answers.entries()) {
        const text = n % 3 === 0 ? Buffer.from('é'.repeat(n)).toString('latin1') : 'e'.repeat(n);
        assert.deepEqual(answer.json, [`/${n}`, `${n}`, text]);
      }
    },
  ),
  ...each(
    'text() decodes UTF-8 of every length',
    async (request) => new Response(await request.text()),
    async ({ connection }) => {
      const body = 'aé€😀\u0000end';
      assert.equal((await connection.request({ method: 'POST', body })).text, body);
    },
  ),
  ...each(
    'json() parses',
    async (request) => Response.json({ got: await request.json() }),
    async ({ connection }) => {
      const answer = await connection.request({ method: 'POST', body: '{"a":["ü",1.5,null]}' });
      assert.deepEqual(answer.json, { got: { a: ['ü', 1.5, null] } });
    },
  ),
  ...each(
    'json() of something else rejects, and error handling answers',
    async (request) => {
      const error: unknown = await request.json().catch((reason: unknown) => reason);
      return new Response((error as Error).name);
    },
    async ({ connection }) => {
      assert.equal((await connection.request({ method: 'POST', body: '{' })).text, 'SyntaxError');
      assert.equal((await connection.request({ method: 'POST' })).text, 'SyntaxError');
    },
  ),
  ...each(
    'arrayBuffer() and blob() have every byte and the type',
    async (request) => {
      const copy = request.clone();
      const buffer = await request.arrayBuffer();
      const blob = await copy.blob();
      const same = Buffer.from(await blob.arrayBuffer()).equals(Buffer.from(buffer));
      return Response.json([buffer.byteLength, blob.type, same, new Uint8Array(buffer)[255]]);
    },
    async ({ connection }) => {
      const body = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const headers = [['content-type', 'image/png']] as const;
      const answer = await connection.request({ method: 'PUT', body, headers });
      assert.deepEqual(answer.json, [256, 'image/png', true, 255]);
    },
  ),
  ...each(
    'body is a stream of the content',
    async (request) => {
      let length = 0;
      for await (const chunk of request.body ?? []) length += (chunk as Uint8Array).byteLength;
      return Response.json([length, request.bodyUsed]);
    },
    async ({ connection }) => {
      assert.deepEqual((await connection.request({ method: 'POST', bodySize: 700 })).json, [700, true]);
    },
  ),
  ...each(
    'a request without a body has none',
    async (request) => Response.json([request.body, request.bodyUsed, await request.text()]),
    async ({ connection }) => {
      assert.deepEqual((await connection.get()).json, [null, false, '']);
    },
  ),
  ...each(
    'formData() reads multipart, files among it',
    async (request) => {
      const form = await request.formData();
      const file = form.get('file') as unknown as { name: string; type: string; text(): Promise<string> };
      return Response.json([form.get('title'), file.name, file.type.split(';')[0], await file.text()]);
    },
    async ({ connection }) => {
      const headers = [['content-type', 'multipart/form-data; boundary=xyz']] as const;
      const answer = await connection.request({ method: 'POST', headers, body: multipart('xyz') });
      assert.deepEqual(answer.json, ['grüße', 'a.txt', 'text/plain', 'line 1\nline 2']);
    },
  ),
  ...each(
    'formData() reads a urlencoded form',
    async (request) => Response.json((await request.formData()).getAll('a')),
    async ({ connection }) => {
      const headers = [['content-type', 'application/x-www-form-urlencoded']] as const;
      const answer = await connection.request({ method: 'POST', headers, body: 'a=1+2&b=3&a=%C3%BC' });
      assert.deepEqual(answer.json, ['1 2', 'ü']);
    },
  ),
  ...each(
    'a GET with a body arrives with it (RFC 9110 §9.3.1)',
    async (request) => new Response(`${request.method} ${await request.text()}`),
    async ({ connection }) => {
      assert.equal((await connection.request({ body: 'content' })).text, 'GET content');
    },
  ),
  ...each(
    'OPTIONS * arrives with the authority as its URL (RFC 9110 §7.1)',
    (request) => new Response(`${request.method} ${request.url}`),
    async ({ server }) => {
      const body = await rawRequest(server.url, pseudo(server.url, 'OPTIONS', '*'));
      assert.equal(`${body}`, `OPTIONS https://${server.url.host}/`);
    },
  ),
  ...each(
    'a body of exactly maxBodyBytes arrives; one byte more is answered 413, and the connection lives on',
    async (request) => new Response(`${(await request.arrayBuffer()).byteLength}`),
    async ({ connection }) => {
      for (const headers of [[], [['content-length', `${BODY_LIMIT}`]]] as [string, string][][]) {
        const fits = await connection.request({ method: 'POST', bodySize: BODY_LIMIT, headers });
        assert.equal(fits.text, `${BODY_LIMIT}`);
      }
      for (const headers of [[], [['content-length', `${BODY_LIMIT + 1}`]]] as [string, string][][]) {
        const over = await connection.request({ method: 'POST', bodySize: BODY_LIMIT + 1, headers });
        assert.equal(over.status, 413);
        assert.ok(over.ended, 'the answer ends cleanly');
      }
      const far = await connection.request({ method: 'POST', bodySize: 5_000_000 });
      assert.equal(far.status, 413);
      assert.equal((await connection.get()).text, '0');
    },
  ),
  ...each(
    'a slow body arrives whole',
    async (request) => new Response(await request.text()),
    async ({ connection }) => {
      const answer = await connection.request({
        method: 'POST',
        body: 'slow'.repeat(10),
        chunkSize: 4,
        chunkDelayMs: 3,
      });
      assert.equal(answer.text, 'slow'.repeat(10));
    },
  ),
  ...each(
    'a body that the client resets half-way reaches no handler, and the connection lives on',
    async (request) => new Response(await request.text()),
    async ({ connection, server }) => {
      const broken = await connection.request({
        method: 'POST',
        bodySize: 900,
        resetAfterBytes: 100,
        chunkSize: 50,
      });
      assert.ok(broken.error !== null);
      assert.equal(server.getStats().requests, 0n);
      assert.equal((await connection.request({ method: 'POST', body: 'next' })).text, 'next');
    },
  ),
  ...each(
    'a request can be cloned, and what the runtime makes of the clone is a Request',
    async (request) => {
      const copy = new Request(request.clone(), { headers: { 'x-more': 'yes' } });
      return Response.json([await copy.text(), copy.headers.get('x-more'), await request.text()]);
    },
    async ({ connection }) => {
      const answer = await connection.request({ method: 'POST', body: 'content' });
      assert.deepEqual(answer.json, ['content', 'yes', 'content']);
    },
  ),
];
