import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { H3ServeOptions } from 'trilane';
import { Response as FastResponse } from 'trilane';
import type { Answer } from '../harness/answer.js';
import { RUNTIME } from '../harness/runtime.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

type Class = typeof Response;
type Content = ConstructorParameters<Class>[0];

/** The runtime's Response and the one of this package. */
const CLASSES: Readonly<Record<string, Class>> = {
  global: Response,
  exported: FastResponse as unknown as Class,
};

/** The same fact for both classes of Response; `make` runs in the handler. */
function each(
  name: string,
  make: (Class: Class, request: Request) => Response | Promise<Response>,
  check: (answer: Answer, stage: Stage) => Promise<void> | void,
): Spec[] {
  return Object.entries(CLASSES).map(([kind, Class]) => ({
    name: `${kind} Response: ${name}`,
    run: () =>
      withServer({ fetch: (request) => make(Class, request) }, async (stage) => {
        await check(await stage.connection.get('/'), stage);
        // Whatever the answer was, the next one is whole.
        const again = await stage.connection.get('/');
        assert.equal(again.error, null);
        stage.log.take();
      }),
  }));
}

/** A fact: this answer cannot be sent, so the client gets a plain 500 and the logger a reason with this code. */
function refused(name: string, make: (Class: Class) => unknown, code: string): Spec[] {
  return each(
    `${name} is a 500 with code ${code} for the logger`,
    (Class) => make(Class) as Response,
    (answer, { log }) => {
      assert.equal(answer.status, 500);
      assert.equal(answer.text, 'Internal Server Error');
      assert.equal((log.take()[0]?.[1] as { code?: unknown }).code, code);
    },
  );
}

/** A fact: with these headers error() is asked, and its answer is sent. */
function askedForAnother(name: string, headers: Record<string, string>, body: string): Spec {
  let heard: unknown;
  const options: H3ServeOptions = {
    fetch: () => new FastResponse(body, { headers }),
    error(error) {
      heard = error;
      return new Response('another', { status: 503 });
    },
  };
  return {
    name: `a response with ${name} goes to error(), whose answer is sent`,
    run: () =>
      withServer(options, async ({ connection }) => {
        const answer = await connection.get();
        assert.equal(answer.status, 503);
        assert.equal(answer.text, 'another');
        assert.match(String((heard as { code?: unknown }).code), /^ERR_H3_(HEADER|RESPONSE_LENGTH)$/);
      }),
  };
}

/** A body of `length` bytes that cannot be mistaken for another part of itself. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
}

export const specs: Spec[] = [
  ...each(
    'text has a type and a length',
    (Class) => new Class('grüße 😀'),
    (answer) => {
      assert.equal(answer.status, 200);
      assert.equal(answer.text, 'grüße 😀');
      const type = answer.header('content-type');
      // Bun's own Response does not tell a program that it was made from text.
      if (RUNTIME !== 'bun' || type !== null) assert.match(`${type}`, /^text\/plain; ?charset=utf-8$/i);
      assert.equal(answer.header('content-length'), `${Buffer.byteLength('grüße 😀')}`);
      assert.ok(Date.parse(answer.header('date') ?? '') > 0, 'it has a date');
    },
  ),
  ...each(
    'bytes, a view of them and an ArrayBuffer',
    (Class, { url }) => {
      const bytes = pattern(600);
      const view = bytes.subarray(100, 200);
      if (url.endsWith('/view')) return new Class(view as Content);
      return new Class((url.endsWith('/buffer') ? bytes.buffer : bytes) as Content);
    },
    async (answer, { connection }) => {
      assert.deepEqual(answer.bytes, Buffer.from(pattern(600)));
      assert.deepEqual((await connection.get('/buffer')).bytes, Buffer.from(pattern(600)));
      assert.deepEqual((await connection.get('/view')).bytes, Buffer.from(pattern(600).subarray(100, 200)));
    },
  ),
  ...each(
    'a Blob with its type',
    (Class) => new Class(new Blob(['one ', 'two'], { type: 'text/csv' })),
    (answer) => {
      assert.equal(answer.text, 'one two');
      assert.equal(answer.header('content-type'), 'text/csv');
      assert.match(answer.header('content-length') ?? '7', /^7$/);
    },
  ),
  ...each(
    'URLSearchParams with their type',
    (Class) => new Class(new URLSearchParams({ a: 'ü', b: '2' })),
    (answer) => {
      assert.equal(answer.text, 'a=%C3%BC&b=2');
      assert.match(answer.header('content-type') ?? '', /^application\/x-www-form-urlencoded/);
    },
  ),
  ...each(
    'FormData as multipart that can be read again',
    (Class) => {
      const form = new FormData();
      form.append('title', 'grüße');
      form.append('file', new Blob(['content'], { type: 'text/csv' }), 'a.csv');
      return new Class(form);
    },
    async (answer) => {
      const headers = { 'content-type': answer.header('content-type') ?? '' };
      const form = await new Response(answer.bytes, { headers }).formData();
      assert.equal(form.get('title'), 'grüße');
      assert.equal((form.get('file') as unknown as { name: string }).name, 'a.csv');
    },
  ),
  ...each(
    'null is no body, and an empty text is one of length 0',
    (Class, { url }) => new Class(url.endsWith('/empty') ? '' : null, { status: 202 }),
    async (answer, { connection }) => {
      assert.equal(answer.status, 202);
      assert.equal(answer.length, 0);
      assert.equal((await connection.get('/empty')).header('content-length'), '0');
    },
  ),
  ...each(
    'Response.json()',
    (Class) => Class.json({ a: ['ü', null] }, { status: 201, headers: { 'x-a': 'b' } }),
    (answer) => {
      assert.equal(answer.status, 201);
      assert.deepEqual(answer.json, { a: ['ü', null] });
      assert.match(answer.header('content-type') ?? '', /^application\/json/);
      assert.equal(answer.header('x-a'), 'b');
    },
  ),
  ...each(
    'Response.redirect()',
    (Class) => Class.redirect('https://example.test/elsewhere', 307),
    (answer) => {
      assert.equal(answer.status, 307);
      assert.equal(answer.header('location'), 'https://example.test/elsewhere');
    },
  ),
  ...each(
    'each set-cookie is a field of its own, other names are joined',
    (Class) => {
      const headers = new Headers();
      for (const value of ['a=1; Path=/', 'b=2, 3', 'c=4']) headers.append('set-cookie', value);
      headers.append('x-many', 'one');
      headers.append('x-many', 'two');
      return new Class('x', { headers });
    },
    (answer) => {
      assert.deepEqual(answer.headerValues('set-cookie'), ['a=1; Path=/', 'b=2, 3', 'c=4']);
      assert.equal(answer.header('x-many'), 'one, two');
    },
  ),
  ...each(
    'each character of a header value is a byte on the wire',
    (Class) =>
      new Class('ü', { headers: { 'x-utf8': Buffer.from('€ü').toString('latin1'), 'x-after': 'ascii' } }),
    (answer) => {
      // The peer reads values as UTF-8: what it understands is these very bytes.
      assert.equal(answer.header('x-utf8'), '€ü');
      assert.equal(answer.header('x-after'), 'ascii');
      assert.equal(answer.text, 'ü');
    },
  ),
  ...each(
    'non-ASCII headers and bodies of one turn are not mixed up',
    (Class, { url }) => {
      const n = Number(new URL(url).pathname.slice(1));
      return new Class(`${n} ${'€😀ü'.repeat(n % 5)}`, { headers: { 'x-n': `${n}${'\xe9'.repeat(n % 3)}` } });
    },
    async (_answer, { connection }) => {
      const numbers = Array.from({ length: 120 }, (_, n) => n);
      const answers = await Promise.all(numbers.map((n) => connection.get(`/${n}`)));
      for (const [n, answer] of answers.entries()) {
        assert.equal(answer.text, `${n} ${'€😀ü'.repeat(n % 5)}`);
        assert.ok(answer.header('x-n')?.startsWith(`${n}`));
      }
    },
  ),
  ...each(
    // RFC9110-15.3.5-204-answer, RFC9110-8.6-204-length
    'a status without content has neither body nor content-length (RFC 9110 §15.3.5)',
    (Class) => new Class(null, { status: 204, headers: { 'x-a': 'b' } }),
    (answer) => {
      assert.equal(answer.status, 204);
      assert.equal(answer.header('content-length'), null);
      assert.equal(answer.header('x-a'), 'b');
      assert.equal(answer.length, 0);
    },
  ),
  ...each(
    // RFC9110-15.4.5-304-answer, RFC9110-8.6-304-length
    '304 keeps the content-length that the page would have (RFC 9110 §15.4.5)',
    (Class) => new Class(null, { status: 304, headers: { etag: '"1"', 'content-length': '1234' } }),
    (answer) => {
      assert.equal(answer.status, 304);
      assert.equal(answer.header('content-length'), '1234');
      assert.equal(answer.length, 0);
    },
  ),
  ...each(
    'a content-length that is right is sent once',
    (Class) => new Class('12345', { headers: { 'content-length': '5' } }),
    (answer) => {
      assert.equal(answer.header('content-length'), '5');
      assert.equal(answer.text, '12345');
    },
  ),
  ...each(
    'one hundred headers',
    (Class) =>
      new Class('x', {
        headers: Array.from({ length: 100 }, (_, n) => [`x-${n}`, `${n}`] as [string, string]),
      }),
    (answer) => {
      for (let n = 0; n < 100; n++) assert.equal(answer.header(`x-${n}`), `${n}`);
    },
  ),
  ...each(
    'a header of 20,000 bytes',
    (Class) => new Class('x', { headers: { 'x-long': 'v'.repeat(20_000) } }),
    (answer) => assert.equal(answer.header('x-long')?.length, 20_000),
  ),
  ...each(
    'a body of 1 MiB arrives whole',
    (Class) => new Class(pattern(1 << 20) as Content),
    (answer) => {
      assert.equal(answer.length, 1 << 20);
      // A body of the runtime's own Response that takes long to read goes out as a stream, without a length.
      assert.equal(answer.header('content-length') ?? `${1 << 20}`, `${1 << 20}`);
      assert.equal(answer.sha256, sha256(pattern(1 << 20)));
    },
  ),
  ...each(
    'a text of 3 MB with characters of every length arrives whole',
    (Class) => new Class('aé€😀'.repeat(300_000)),
    (answer) => {
      const bytes = Buffer.from('aé€😀'.repeat(300_000));
      assert.equal(answer.length, bytes.length);
      assert.equal(answer.sha256, sha256(bytes));
    },
  ),
  ...each(
    // RFC9110-9.3.2-head-answer, RFC9110-9.3.2-head-fields, RFC9110-8.6-head-length
    'HEAD has the headers of the answer and not its body',
    (Class) => new Class('0123456789', { headers: { etag: '"1"' } }),
    async (_answer, { connection }) => {
      const head = await connection.request({ method: 'HEAD' });
      assert.equal(head.length, 0);
      assert.equal(head.header('content-length'), '10');
      assert.equal(head.header('etag'), '"1"');
    },
  ),
  ...each(
    // RFC9110-8.6-head-length
    'a content-length without a body is sent in answer to HEAD',
    (Class, { method }) =>
      new Class(null, method === 'HEAD' ? { headers: { 'content-length': '1234' } } : { status: 202 }),
    async (_answer, { connection }) => {
      const head = await connection.request({ method: 'HEAD' });
      assert.deepEqual([head.status, head.header('content-length')], [200, '1234']);
    },
  ),
  ...each(
    // RFC9110-15.3.6-205-answer
    '205 has neither body nor content-length',
    (Class) => new Class(null, { status: 205 }),
    (answer) =>
      assert.deepEqual([answer.status, answer.length, answer.header('content-length')], [205, 0, null]),
  ),
  ...refused(
    // RFC9110-8.6-contradiction-refused
    'a content-length without a body',
    (Class) => new Class(null, { headers: { 'content-length': '4' } }),
    'ERR_H3_RESPONSE_LENGTH',
  ),
  ...refused(
    // RFC9110-8.6-invalid-refused
    'a content-length beyond 64 bits in front of a stream',
    (Class) => new Class(new Blob(['x']).stream(), { headers: { 'content-length': '18446744073709551616' } }),
    'ERR_H3_RESPONSE_LENGTH',
  ),
  ...refused(
    // RFC9110-8.6-contradiction-refused
    'a content-length that is wrong',
    (Class) => new Class('12345', { headers: { 'content-length': '4' } }),
    'ERR_H3_RESPONSE_LENGTH',
  ),
  ...refused(
    // RFC9110-8.6-invalid-refused
    'a content-length that is no number',
    (Class) => new Class('12345', { headers: { 'content-length': '5, 5' } }),
    'ERR_H3_RESPONSE_LENGTH',
  ),
  ...refused('nothing returned', () => undefined, 'ERR_H3_RESPONSE_TYPE'),
  ...refused('text returned', () => 'text', 'ERR_H3_RESPONSE_TYPE'),
  ...refused('an iterator returned', () => Readable.from(['text']), 'ERR_H3_RESPONSE_TYPE'),
  {
    name: 'the reason for an iterator that was returned says which Response takes it',
    run: () =>
      withServer(
        { fetch: () => Readable.from(['text']) as unknown as Response },
        async ({ connection, log }) => {
          assert.equal((await connection.get()).status, 500);
          const [, reason] = log.take()[0] ?? [];
          assert.match(
            (reason as Error).message,
            /an instance of Readable.*import \{ Response \} from 'trilane'/,
          );
        },
      ),
  },
  ...refused('an object returned', () => ({ status: 200 }), 'ERR_H3_RESPONSE_TYPE'),
  ...refused('Response.error()', (Class) => Class.error(), 'ERR_H3_RESPONSE_STATUS'),
  ...refused(
    'a Response whose body was read',
    async (Class) => {
      const response = new Class('text');
      await response.text();
      return response;
    },
    'ERR_H3_RESPONSE_BODY',
  ),
  ...refused(
    'a Response whose body is locked',
    (Class) => {
      const response = new Class('text');
      response.body?.getReader();
      return response;
    },
    'ERR_H3_RESPONSE_BODY',
  ),
  // RFC9110-7.6.1-connection-fields-sent
  askedForAnother('connection', { connection: 'close' }, 'x'),
  askedForAnother('a transfer-encoding', { 'transfer-encoding': 'gzip' }, 'x'),
  askedForAnother('keep-alive', { 'keep-alive': '1' }, 'x'),
  askedForAnother('te', { te: 'trailers' }, 'x'),
  askedForAnother('upgrade', { upgrade: 'h2c' }, 'x'),
  askedForAnother('a te other than trailers', { te: 'gzip' }, 'x'),
  askedForAnother('a wrong content-length', { 'content-length': '7' }, 'x'),
  ...(['\0', '\r', '\n', '\u0100'] as const).flatMap((character) =>
    each(
      `a header value with ${JSON.stringify(character)} never reaches the wire`,
      (Class) => new Class('x', { headers: { 'x-a': `a${character}b: c` } }),
      (answer) => {
        assert.equal(answer.status, 500);
        assert.equal(answer.header('x-a'), null);
      },
    ),
  ),
  ...each(
    // RFC9110-15-status-sent
    'a status that is none never reaches the wire',
    (Class, { url }) => new Class('x', { status: Number(new URL(url).pathname.slice(1)) }),
    async (_answer, { connection }) => {
      for (const status of [0, 99, 101, 199, 600, 1000]) {
        assert.equal((await connection.get(`/${status}`)).status, 500, `${status}`);
      }
      for (const status of [200, 299, 418, 511, 599]) {
        assert.equal((await connection.get(`/${status}`)).status, status);
      }
    },
  ),
  {
    name: 'one Response sent twice is an error the second time',
    async run() {
      for (const Class of Object.values(CLASSES)) {
        const kept = new Class('once');
        await withServer({ fetch: () => kept }, async ({ connection, log }) => {
          assert.equal((await connection.get()).text, 'once');
          assert.equal((await connection.get()).status, 500);
          assert.equal((log.take()[0]?.[1] as { code?: unknown }).code, 'ERR_H3_RESPONSE_BODY');
        });
      }
    },
  },
];

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
