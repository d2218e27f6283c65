import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { chunkBytes } from '../../lib/body.js';
import { eachField } from '../../lib/fields.js';
import { FileBody } from '../../lib/file-body.js';
import { LargeBytes } from '../../lib/large-bytes.js';
import { Response as Lazy, type Outgoing, type OutgoingBody, readResponse } from '../../lib/response.js';
import type { Spec } from './spec.js';

type ResponseInit = ConstructorParameters<typeof Response>[1];

const KINDS = { own: Response, lazy: Lazy } as Record<string, typeof Response>;

function both(name: string, run: (Class: typeof Response) => Promise<void> | void): Spec[] {
  return Object.entries(KINDS).map(([kind, Class]) => ({
    name: `${kind} response: ${name}`,
    run: () => run(Class),
  }));
}

/** The fields of an answer as pairs, sorted: runtimes differ in their order. */
function pairs({ fields }: Outgoing): string[][] {
  const list: string[][] = [];
  eachField(fields, (name, value) => list.push([name, value]));
  return list.sort();
}

async function text(body: OutgoingBody): Promise<string> {
  if (body === null || body instanceof FileBody) return '';
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  let whole = '';
  for await (const chunk of body instanceof LargeBytes ? body.stream() : body)
    whole += new TextDecoder().decode(chunkBytes(chunk));
  return whole;
}

function rejects(
  value: unknown,
  code: string,
  Class: typeof TypeError | typeof RangeError = TypeError,
): Promise<void> {
  return assert.rejects(
    async () => readResponse(value),
    (error: unknown) => error instanceof Class && (error as { code?: unknown }).code === code,
  );
}

/** A stream that counts what is asked of it. */
function pulled(
  total: number,
  size = 1,
): { stream: ReadableStream<Uint8Array>; pulls(): number; cancelled(): unknown } {
  let pulls = 0;
  let cancelled: unknown = null;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulls++;
      if (pulls > total) controller.close();
      else controller.enqueue(new Uint8Array(size).fill(120));
    },
    cancel(reason) {
      cancelled = reason ?? 'no reason';
    },
  });
  return { stream, pulls: () => pulls, cancelled: () => cancelled };
}

/** `promise`, or a failure if it takes longer than two seconds. */
async function within<Value>(promise: Promise<Value> | Value, what: string): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited 2 s for ${what}`)), 2_000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const specs: Spec[] = [
  ...both('status, headers and text come through', async (Class) => {
    const response = new Class('h\u20ac', {
      status: 201,
      headers: { 'Content-Type': 'text/html', 'X-A': ' b ' },
    });
    const answer = await readResponse(response);
    assert.equal(answer.status, 201);
    assert.deepEqual(pairs(answer), [
      ['content-type', 'text/html'],
      ['x-a', 'b'],
    ]);
    assert.equal(await text(answer.body), 'h\u20ac');
    assert.ok(!(answer.body instanceof ReadableStream));
  }),
  ...both('each set-cookie stays a field of its own, other headers are joined or repeated', async (Class) => {
    const headers = new Headers([
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
      ['x', '1'],
      ['x', '2'],
    ]);
    const answer = await readResponse(new Class(null, { headers }));
    const cookies = pairs(answer).filter(([name]) => name === 'set-cookie');
    assert.deepEqual(cookies, [
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ]);
    assert.ok(answer.fields.includes('\0x:1, 2'));
  }),
  ...both('no body is null', async (Class) => {
    assert.deepEqual(await readResponse(new Class(null, { status: 204 })), {
      status: 204,
      fields: '',
      body: null,
    });
    assert.equal((await readResponse(new Class())).body, null);
  }),
  ...both('bytes come out in one step, whatever their size up to 256 KiB', async (Class) => {
    for (const size of [1, 20_000, 200_000]) {
      const { body } = await readResponse(new Class(new Uint8Array(size).fill(7)));
      assert.ok(body instanceof Uint8Array, `${size}`);
      assert.equal(body.byteLength, size);
      assert.ok(body.every((byte) => byte === 7));
    }
  }),
  ...both('bytes are copied: the handler may reuse its buffer', async (Class) => {
    const bytes = new TextEncoder().encode('kept');
    const response = new Class(bytes);
    bytes.fill(0);
    assert.equal(await text((await readResponse(response)).body), 'kept');
  }),
  ...both('ArrayBuffer, view, Blob, URLSearchParams and FormData are bodies', async (Class) => {
    const abc = new TextEncoder().encode('xabcx');
    assert.equal(await text((await readResponse(new Class(abc.slice(1, 4).buffer))).body), 'abc');
    const view = new DataView(abc.buffer, 1, 3);
    assert.equal(await text((await readResponse(new Class(view))).body), 'abc');
    const blob = await readResponse(new Class(new Blob(['abc'], { type: 'image/png' })));
    assert.equal(await text(blob.body), 'abc');
    assert.deepEqual(pairs(blob), [['content-type', 'image/png']]);
    const query = await readResponse(new Class(new URLSearchParams({ a: 'b c' })));
    assert.equal(await text(query.body), 'a=b+c');
    assert.match(query.fields, /^\0content-type:application\/x-www-form-urlencoded/);
    const form = new FormData();
    form.set('name', 'value');
    const multipart = await readResponse(new Class(form));
    const boundary = /boundary=(.+)$/.exec(multipart.fields)?.[1];
    assert.ok(boundary !== undefined && (await text(multipart.body)).includes(boundary));
  }),
  ...both('a Blob above 256 KiB is streamed', async (Class) => {
    const answer = await readResponse(new Class(new Blob([new Uint8Array(300_000).fill(120)])));
    assert.ok(answer.body instanceof ReadableStream);
    assert.equal((await text(answer.body)).length, 300_000);
  }),
  ...both('a stream that has not begun is not waited for', async (Class) => {
    const stream = new ReadableStream<Uint8Array>({});
    const answer = await within(readResponse(new Class(stream)), 'the head of an endless answer');
    assert.ok(answer.body instanceof ReadableStream);
  }),
  ...both('a stream that waits after its first chunk loses nothing', async (Class) => {
    let push: ((chunk: string | null) => void) | undefined;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('first '));
        push = (chunk) => {
          if (chunk === null) controller.close();
          else controller.enqueue(new TextEncoder().encode(chunk));
        };
      },
    });
    const answer = await within(readResponse(new Class(stream)), 'the head of a slow answer');
    setTimeout(() => push?.('second '), 5);
    setTimeout(() => push?.('third'), 10);
    setTimeout(() => push?.(null), 15);
    assert.equal(await within(text(answer.body), 'the slow body'), 'first second third');
  }),
  ...both('an endless stream that never waits is read ahead by a bounded amount', async (Class) => {
    for (const size of [0, 1, 16_384]) {
      const source = pulled(Number.POSITIVE_INFINITY, size);
      const answer = await within(readResponse(new Class(source.stream)), 'the head of an endless answer');
      assert.ok(answer.body instanceof ReadableStream);
      assert.ok(source.pulls() <= 40, `${source.pulls()} pulls of ${size} bytes`);
      await answer.body.cancel('enough');
      assert.equal(source.cancelled(), 'enough');
    }
  }),
  ...both('back-pressure reaches the producer: nothing is pulled that is not read', async (Class) => {
    const source = pulled(100, 100_000);
    const { body } = await readResponse(new Class(source.stream));
    assert.ok(body instanceof ReadableStream);
    const before = source.pulls();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(source.pulls() - before <= 1);
    assert.equal((await text(body)).length, 10_000_000);
  }),
  ...both('a stream that fails after its first chunk fails in the body that goes out', async (Class) => {
    let fail: (() => void) | undefined;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(1));
        fail = () => controller.error(new Error('disk on fire'));
      },
    });
    const answer = await within(readResponse(new Class(stream)), 'the head');
    fail?.();
    await assert.rejects(within(text(answer.body), 'the failure'), /disk on fire/);
  }),
  ...both('a body that was read cannot be sent', async (Class) => {
    const response = new Class('once');
    await response.text();
    await rejects(response, 'ERR_H3_RESPONSE_BODY');
  }),
  ...both('the same Response cannot be sent twice', async (Class) => {
    const response = new Class('once');
    await readResponse(response);
    await rejects(response, 'ERR_H3_RESPONSE_BODY');
    assert.equal(response.bodyUsed, true);
  }),
  ...both('a locked stream cannot be sent', async (Class) => {
    const stream = new ReadableStream<Uint8Array>({});
    const response = new Class(stream);
    (response.body as ReadableStream).getReader();
    await rejects(response, 'ERR_H3_RESPONSE_BODY');
  }),
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].flatMap((name) =>
    both(`the connection-specific header ${name} is refused (RFC 9114 §4.2)`, async (Class) => {
      await rejects(new Class('x', { headers: { a: 'b', [name]: 'x' } }), 'ERR_H3_HEADER');
    }),
  ),
  ...both('a header value that looks like a forbidden name is allowed', async (Class) => {
    const answer = await readResponse(new Class(null, { headers: { a: 'connection', b: 'upgrade' } }));
    assert.deepEqual(pairs(answer), [
      ['a', 'connection'],
      ['b', 'upgrade'],
    ]);
  }),
  ...both('a control character in a header value is refused (RFC 9110 §5.5)', async (Class) => {
    await rejects(new Class(null, { headers: { a: 'b\x01' } }), 'ERR_H3_HEADER');
  }),
  ...both('content-length must be the length of a known body (RFC 9114 §4.1.2)', async (Class) => {
    const make = (body: string | Uint8Array | null, length: string) =>
      new Class(body, { headers: { 'content-length': length } });
    assert.equal((await readResponse(make('\u20ac', '3'))).fields.includes('\0content-length:3'), true);
    await readResponse(make(new Uint8Array(5), '5'));
    await readResponse(make(null, '5'));
    await rejects(make('\u20ac', '1'), 'ERR_H3_RESPONSE_LENGTH');
    await rejects(make(new Uint8Array(5), '6'), 'ERR_H3_RESPONSE_LENGTH');
    await rejects(make('x', '1, 1'), 'ERR_H3_RESPONSE_LENGTH');
    await rejects(make('x', '+1'), 'ERR_H3_RESPONSE_LENGTH');
  }),
  ...[0, 99, 100, 101, 199, 600, 1000, Number.NaN].flatMap((status) =>
    both(`status ${status} is refused with a RangeError, when made or when read`, async (Class) => {
      await assert.rejects(async () => readResponse(new Class(null, { status })), RangeError);
    }),
  ),
  ...both('Response.json() and Response.redirect() come through', async (Class) => {
    const json = await readResponse(Class.json({ a: 1 }, { status: 202, headers: { b: 'c' } }));
    assert.equal(json.status, 202);
    assert.equal(await text(json.body), '{"a":1}');
    assert.ok(json.fields.includes('\0content-type:application/json'));
    assert.ok(json.fields.includes('\0b:c'));
    const redirect = await readResponse(Class.redirect('https://example.test/x', 307));
    assert.deepEqual(redirect, { status: 307, fields: '\0location:https://example.test/x', body: null });
    assert.throws(() => Class.json(undefined), TypeError);
    assert.throws(() => Class.redirect('https://example.test/', 200 as 302), RangeError);
  }),
  ...both('Response.error() is no answer', async (Class) => {
    await rejects(Class.error(), 'ERR_H3_RESPONSE_STATUS', RangeError);
  }),
  ...[undefined, null, 'text', 7, {}, { status: 200 }, [], () => new Response()].map((value) => ({
    name: `a handler that returns ${typeof value} ${JSON.stringify(value)} is told to return a Response`,
    run: () => rejects(value, 'ERR_H3_RESPONSE_TYPE'),
  })),
  {
    name: 'a Response of another implementation is read by its shape',
    async run() {
      const headers = new Map([['a', 'b']]);
      const buffered = {
        status: 200,
        headers,
        bodyUsed: false,
        arrayBuffer: async () => new TextEncoder().encode('buffer').buffer,
      };
      assert.equal(await text((await readResponse(buffered)).body), 'buffer');
      const answer = await readResponse({ status: 203, headers, body: Readable.from(['node ', 'stream']) });
      assert.deepEqual([answer.status, answer.fields], [203, '\0a:b']);
      assert.equal(await text(answer.body), 'node stream');
    },
  },
  ...[
    ['a:b', 'c'],
    ['a', 'b\0c:d'],
    ['a', 'b\r\nc: d'],
    ['', 'b'],
  ].map(([name = '', value = '']) => ({
    name: `the headers ${JSON.stringify({ [name]: value })} of another implementation are refused`,
    run: () => rejects({ status: 200, headers: new Map([[name, value]]), body: null }, 'ERR_H3_HEADER'),
  })),
  {
    // RFC9110-7.6.1-fetched-connection-fields, RFC9110-7.6.1-fetched-connection-options
    name: 'a fetched Response is passed on without the fields of its HTTP/1.1 connection and of its undone coding',
    async run() {
      const fetched = (headers: Record<string, string>, body: string | null) =>
        Object.defineProperty(new Response(body, { headers }), 'url', { value: 'http://origin.test/' });
      const gzip = {
        connection: 'keep-alive, X-Hop',
        'keep-alive': 'timeout=5',
        'x-hop': 'of the connection',
        'transfer-encoding': 'chunked',
        'content-encoding': 'gzip',
        'content-length': '9',
        etag: 'e',
      };
      const decoded = await readResponse(fetched({ ...gzip, 'content-type': 'text/plain' }, 'hello hello'));
      assert.deepEqual(pairs(decoded), [
        ['content-type', 'text/plain'],
        ['etag', 'e'],
      ]);
      const head = await readResponse(fetched({ 'content-encoding': 'gzip', 'content-length': '9' }, null));
      assert.deepEqual(pairs(head), [
        ['content-encoding', 'gzip'],
        ['content-length', '9'],
      ]);
    },
  },
  {
    name: 'lazy response: text, bytes, streams and null are read without a promise',
    run() {
      for (const body of ['text', new Uint8Array(3), null, new ReadableStream<Uint8Array>({})]) {
        assert.ok(!(readResponse(new Lazy(body)) instanceof Promise));
      }
    },
  },
  {
    name: 'lazy response: text and JSON have a content type by default, on every runtime',
    async run() {
      assert.equal((await readResponse(new Lazy('x'))).fields, '\0content-type:text/plain;charset=UTF-8');
      assert.equal((await readResponse(Lazy.json(1))).fields, '\0content-type:application/json');
      const own = await readResponse(
        Lazy.json(1, { headers: { 'content-type': 'application/problem+json' } }),
      );
      assert.equal(own.fields, '\0content-type:application/problem+json');
      assert.equal((await readResponse(new Lazy(new Uint8Array(1)))).fields, '');
    },
  },
  {
    name: 'lazy response: an asynchronous generator is a body, and its finally runs when the client goes away',
    async run() {
      let ended = 0;
      async function* produce() {
        try {
          yield 'a';
          yield new TextEncoder().encode('b');
          yield 'c';
        } finally {
          ended++;
        }
      }
      assert.equal(await text((await readResponse(new Lazy(produce()))).body), 'abc');
      assert.equal(ended, 1);
      const { body } = await readResponse(new Lazy(produce()));
      assert.ok(body instanceof ReadableStream);
      const reader = body.getReader();
      await reader.read();
      await reader.cancel();
      assert.equal(ended, 2);
    },
  },
  {
    name: 'lazy response: a generator that yields a number fails, and its finally runs',
    async run() {
      let ended = false;
      async function* produce() {
        try {
          yield 1;
        } finally {
          ended = true;
        }
      }
      const { body } = await readResponse(new Lazy(produce() as unknown as AsyncIterable<string>));
      await assert.rejects(text(body), TypeError);
      assert.ok(ended);
    },
  },
  {
    name: 'lazy response: it passes for a Response of the runtime and has its members',
    async run() {
      const response = new Lazy('text', { status: 404, statusText: 'Gone Fishing' });
      assert.ok(response instanceof Response);
      assert.ok(response instanceof Lazy);
      assert.equal(response.ok, false);
      assert.equal(response.statusText, 'Gone Fishing');
      assert.equal(response.type, 'default');
      assert.equal(response.url, '');
      assert.equal(response.redirected, false);
      const clone = response.clone();
      assert.equal(await clone.text(), 'text');
      assert.equal(await text((await readResponse(response)).body), 'text');
    },
  },
  {
    name: 'lazy response: it can be wrapped, with its body and its headers, in another Response',
    async run() {
      const inner = new Lazy('text', { status: 206, headers: { a: 'b' } });
      for (const Class of Object.values(KINDS)) {
        const source = inner.clone();
        const answer = await readResponse(
          new Class(source.body, { status: source.status, headers: source.headers }),
        );
        assert.equal(answer.status, 206);
        assert.ok(answer.fields.includes('\0a:b'));
        assert.equal(await text(answer.body), 'text');
      }
      const wrapped = await readResponse(
        new Response('x', { headers: new Lazy(null, { headers: { a: 'b' } }).headers }),
      );
      assert.ok(wrapped.fields.includes('\0a:b'));
    },
  },
  {
    name: 'lazy response: changes of its headers are sent, before and after it is built in full',
    async run() {
      const response = new Lazy('text', { headers: { a: '1' } });
      response.headers.set('b', '2');
      response.headers.append('set-cookie', 'x=1');
      response.headers.append('set-cookie', 'y=2');
      assert.deepEqual(response.headers.getSetCookie(), ['x=1', 'y=2']);
      void response.body;
      response.headers.set('c', '3');
      const answer = await readResponse(response);
      assert.deepEqual(pairs(answer), [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
        ['content-type', 'text/plain;charset=UTF-8'],
        ['set-cookie', 'x=1'],
        ['set-cookie', 'y=2'],
      ]);
    },
  },
  {
    name: 'lazy response: it can be the base of a class',
    async run() {
      class Page extends Lazy {
        constructor(title: string) {
          super(`<title>${title}</title>`, { headers: { 'content-type': 'text/html' } });
        }
      }
      const page = new Page('t');
      assert.ok(page instanceof Page);
      assert.equal((await readResponse(page)).body, '<title>t</title>');
    },
  },
  {
    name: 'lazy response: Response.redirect() takes a relative URL',
    async run() {
      assert.equal((await readResponse(Lazy.redirect('/login'))).fields, '\0location:/login');
      assert.throws(() => Lazy.redirect('/a\nb'), TypeError);
    },
  },
  {
    name: 'lazy response: wrong arguments throw when it is made',
    run() {
      const make = (body: string | null, init: object) => () => new Lazy(body, init as ResponseInit);
      assert.throws(make('x', { status: 204 }), TypeError);
      assert.throws(make('', { status: 304 }), TypeError);
      assert.throws(make(null, { headers: { 'a b': 'c' } }), TypeError);
      assert.throws(make(null, { headers: { a: 'b\r\nc: d' } }), TypeError);
      assert.throws(make(null, { headers: { a: '\u20ac' } }), TypeError);
      assert.throws(make(null, { headers: [['a']] }), TypeError);
      assert.throws(make(null, { headers: 'a: b' }), TypeError);
      assert.throws(make(null, { headers: null }), TypeError);
      assert.throws(make(null, { statusText: 'a\nb' }), TypeError);
      const stream = new ReadableStream<Uint8Array>({});
      stream.getReader();
      assert.throws(() => new Lazy(stream), TypeError);
    },
  },
];
