import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { lazyRequest } from '../../lib/lazy-request.js';
import { ownRequest } from '../../lib/own-request.js';
import type { H3Request, IncomingParts } from '../../lib/request.js';
import type { Spec } from './spec.js';

const KINDS = { own: ownRequest, lazy: lazyRequest };
const FIELDS = '\0host:example.test\0accept:*/*\0x-many:one\0x-many:two\0cookie:a=1; b=2\0x-latin:\xe9';

/** Parts whose lazy getters count how often they were touched. */
class Parts implements IncomingParts {
  readonly url: string = 'https://example.test/a/b?c=d';
  readonly earlyData = true;
  readonly trailers = Promise.resolve(new Headers({ 'x-trailer': 'end' }));
  readonly controller = new AbortController();
  readonly method: string;
  readonly body: Uint8Array | null;
  readonly fields: string;
  signalsTouched = 0;
  paramsTouched = 0;

  constructor(method = 'GET', content: string | Uint8Array | null = null, fields = FIELDS) {
    this.method = method;
    this.body = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    this.fields = fields;
  }

  get params(): Record<string, string> {
    this.paramsTouched++;
    return { id: '7' };
  }

  get signal(): AbortSignal {
    this.signalsTouched++;
    return this.controller.signal;
  }
}

/** The same fact for both kinds of request. */
function both(
  name: string,
  run: (make: (parts: IncomingParts) => H3Request) => Promise<void> | void,
): Spec[] {
  return Object.entries(KINDS).map(([kind, make]) => ({
    name: `${kind} request: ${name}`,
    run: () => run(make),
  }));
}

export const specs: Spec[] = [
  ...both('method, url and headers are those that arrived', (make) => {
    const request = make(new Parts('DELETE'));
    assert.ok(request instanceof Request);
    assert.equal(request.method, 'DELETE');
    assert.equal(request.url, 'https://example.test/a/b?c=d');
    assert.equal(request.headers.get('Host'), 'example.test');
    assert.equal(request.headers.get('x-many'), 'one, two');
    assert.equal(request.headers.get('x-latin'), '\xe9');
    assert.equal(request.headers.get('absent'), null);
    assert.equal(request.headers.has('ACCEPT'), true);
    assert.throws(() => request.headers.get('no token'), TypeError);
  }),
  ...both('headers can be iterated, changed and passed on', (make) => {
    const { headers } = make(new Parts());
    assert.ok(headers instanceof Headers);
    assert.deepEqual([...headers.keys()].sort(), ['accept', 'cookie', 'host', 'x-latin', 'x-many']);
    const seen: string[] = [];
    headers.forEach((value, name, parent) => {
      assert.equal(parent, headers);
      seen.push(`${name}=${value}`);
    });
    assert.ok(seen.includes('x-many=one, two'));
    headers.set('x-new', '1');
    headers.delete('accept');
    assert.equal(headers.get('x-new'), '1');
    assert.equal(headers.has('accept'), false);
    assert.equal(new Headers(headers).get('x-new'), '1');
    assert.equal(new Response(null, { headers }).headers.get('x-new'), '1');
    assert.equal(new Request('https://localhost/', { headers }).headers.get('x-new'), '1');
  }),
  ...both('a request without fields has empty headers', (make) => {
    const { headers } = make(new Parts('GET', null, ''));
    assert.equal(headers.get('accept'), null);
    assert.deepEqual([...headers], []);
  }),
  ...both('an empty header value is kept', (make) => {
    const { headers } = make(new Parts('GET', null, '\0a:\0b:\0c:1'));
    assert.equal(headers.get('a'), '');
    assert.equal(headers.get('b'), '');
    assert.equal(headers.get('c'), '1');
    assert.deepEqual(
      [...headers],
      [
        ['a', ''],
        ['b', ''],
        ['c', '1'],
      ],
    );
  }),
  ...both('a header whose name begins like another is not taken for it', (make) => {
    const { headers } = make(new Parts('GET', null, '\0accept-encoding:br\0accept:*/*'));
    assert.equal(headers.get('accept'), '*/*');
    assert.equal(headers.get('acc'), null);
  }),
  ...both('a header value that equals a name is not taken for one', (make) => {
    const { headers } = make(new Parts('GET', null, '\0a:accept\0b:accept:c'));
    assert.equal(headers.get('accept'), null);
    assert.equal(headers.get('a'), 'accept');
    assert.equal(headers.get('b'), 'accept:c');
  }),
  ...both('making it touches neither signal nor params', (make) => {
    const parts = new Parts('POST', 'text');
    const request = make(parts);
    void request.headers.get('accept');
    assert.equal(parts.signalsTouched, 0);
    assert.equal(parts.paramsTouched, 0);
    assert.equal(request.params['id'], '7');
    assert.equal(request.signal, parts.controller.signal);
  }),
  ...both('signal aborts with the reason of the server', (make) => {
    const parts = new Parts();
    const { signal } = make(parts);
    assert.equal(signal.aborted, false);
    parts.controller.abort('gone');
    assert.equal(signal.reason, 'gone');
  }),
  ...both('whether it is early data comes from the parts, also for a clone', async (make) => {
    const request = make(new Parts());
    assert.equal(request.earlyData, true);
    assert.equal((request.clone() as H3Request).earlyData, true);
  }),
  ...both('trailers come from the parts', async (make) => {
    assert.equal((await make(new Parts()).trailers).get('x-trailer'), 'end');
  }),
  ...both('the body can be read in each form', async (make) => {
    const parts = () => new Parts('POST', '{"a":"\u20ac"}');
    assert.equal(await make(parts()).text(), '{"a":"\u20ac"}');
    assert.deepEqual(await make(parts()).json(), { a: '\u20ac' });
    assert.equal((await make(parts()).arrayBuffer()).byteLength, 11);
    assert.equal(
      (await (make(parts()) as unknown as { bytes(): Promise<Uint8Array> }).bytes()).byteLength,
      11,
    );
    assert.equal((await make(parts()).blob()).size, 11);
    const chunks: Uint8Array[] = [];
    for await (const chunk of make(parts()).body ?? []) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), '{"a":"\u20ac"}');
  }),
  ...both(
    'arrayBuffer() and bytes() hold the body alone, also where it is a window into a larger buffer',
    async (make) => {
      const window = new TextEncoder().encode('xxbodyxx').subarray(2, 6);
      const buffer = await make(new Parts('POST', window)).arrayBuffer();
      assert.equal(new TextDecoder().decode(buffer), 'body');
      const request = make(new Parts('POST', window)) as unknown as {
        bytes(): Promise<Uint8Array<ArrayBuffer>>;
      };
      assert.equal(new TextDecoder().decode((await request.bytes()).buffer), 'body');
    },
  ),
  ...both('a second read of the body rejects with a TypeError', async (make) => {
    const request = make(new Parts('POST', 'once'));
    assert.equal(request.bodyUsed, false);
    await request.text();
    assert.equal(request.bodyUsed, true);
    await assert.rejects(() => request.text(), TypeError);
    await assert.rejects(() => request.json(), TypeError);
    assert.throws(() => request.clone(), TypeError);
  }),
  ...both('no body reads as empty, as often as wanted', async (make) => {
    const request = make(new Parts('POST'));
    assert.equal(request.body, null);
    assert.equal(await request.text(), '');
    assert.equal((await request.arrayBuffer()).byteLength, 0);
    assert.equal(request.bodyUsed, false);
  }),
  ...both('a form body is parsed', async (make) => {
    const fields = '\0content-type:application/x-www-form-urlencoded';
    const form = await make(new Parts('POST', 'a=1&b=2', fields)).formData();
    assert.equal(form.get('b'), '2');
  }),
  ...both('the type of blob() is that of the header', async (make) => {
    const blob = await make(new Parts('POST', 'x', '\0content-type:image/png')).blob();
    assert.equal(blob.type, 'image/png');
  }),
  ...both('malformed JSON rejects with a SyntaxError', async (make) => {
    await assert.rejects(() => make(new Parts('POST', '{')).json(), SyntaxError);
  }),
  ...both('a clone is read on its own and keeps params, signal and trailers', async (make) => {
    const parts = new Parts('POST', 'twice');
    const request = make(parts);
    const clone = request.clone() as H3Request;
    assert.equal(await request.text(), 'twice');
    assert.equal(await clone.text(), 'twice');
    assert.equal(clone.params['id'], '7');
    assert.equal(clone.signal, parts.controller.signal);
    assert.equal((await clone.trailers).get('x-trailer'), 'end');
    assert.equal(clone.headers.get('accept'), '*/*');
  }),
  ...both('content of a GET can be read (RFC 9110 §9.3.1)', async (make) => {
    const request = make(new Parts('GET', 'query', '\0content-type:application/x-www-form-urlencoded'));
    assert.equal(request.method, 'GET');
    assert.notEqual(request.body, null);
    assert.equal(await (request.clone() as Request).text(), 'query');
    assert.equal((await request.formData()).has('query'), true);
    assert.equal(request.bodyUsed, true);
  }),
  ...['CONNECT', 'TRACE', 'TRACK', 'PROPFIND', 'get', 'X-OWN'].flatMap((method) =>
    both(`method ${method} is reported as it came`, async (make) => {
      const request = make(new Parts(method, 'text'));
      assert.equal(request.method, method);
      assert.equal((request.clone() as Request).method, method);
      assert.equal(await request.text(), 'text');
    }),
  ),
  ...[
    ['https://EXAMPLE.test:443/a/../b', 'https://example.test/b'],
    ['https://example.test:443/a', 'https://example.test/a'],
    ['https://example.test:4433/a', 'https://example.test:4433/a'],
    ['https://example.test/a/./b/%2E%2e/c', 'https://example.test/a/c'],
    ['https://example.test/.well-known/x', 'https://example.test/.well-known/x'],
    ["https://example.test/a'b?c='d", "https://example.test/a'b?c=%27d"],
    ['https://example.test/"<>?"<>', 'https://example.test/%22%3C%3E?%22%3C%3E'],
    ['https://127.1:8443/', 'https://127.0.0.1:8443/'],
    ['https://127.0.0.1:65535/', 'https://127.0.0.1:65535/'],
    ['https://[0::1]:1/', 'https://[::1]:1/'],
    ['https://example.test:0443/x//y', 'https://example.test/x//y'],
    ['https://0x7f.1/', 'https://127.0.0.1/'],
  ].flatMap(([given, expected]) =>
    both(`the URL ${given} is ${expected}`, (make) => {
      const parts = Object.assign(new Parts(), { url: given as string });
      assert.equal(make(parts).url, expected);
    }),
  ),
  ...['https://256.256.256.256/', 'https://example.test:65536/', 'https://a b/'].flatMap((url) =>
    both(`the URL ${url} is refused with a TypeError`, (make) => {
      assert.throws(() => make(Object.assign(new Parts(), { url })), TypeError);
    }),
  ),
  {
    name: 'own request: its slots are real, so the runtime takes it as a Request',
    async run() {
      const copy = new Request(ownRequest(new Parts('POST', 'text')));
      assert.equal(copy.method, 'POST');
      assert.equal(copy.headers.get('accept'), '*/*');
      assert.equal(await copy.text(), 'text');
    },
  },
  {
    name: 'lazy request: clone() gives what the runtime takes as a Request',
    async run() {
      const copy = new Request(lazyRequest(new Parts('POST', 'text')).clone());
      assert.equal(copy.headers.get('x-many'), 'one, two');
      assert.equal(await copy.text(), 'text');
    },
  },
  {
    name: 'lazy request: headers handed out before it is built in full stay live',
    run() {
      const request = lazyRequest(new Parts('POST', 'text'));
      const { headers } = request;
      headers.set('x-before', '1');
      assert.equal(request.redirect, 'follow');
      assert.equal(request.headers, headers);
      headers.set('x-after', '2');
      const clone = request.clone();
      assert.equal(clone.headers.get('x-before'), '1');
      assert.equal(clone.headers.get('x-after'), '2');
      assert.equal(clone.headers.get('accept'), '*/*');
    },
  },
  {
    name: 'lazy request: a body read before it is built in full counts as read afterwards',
    async run() {
      const request = lazyRequest(new Parts('POST', 'text'));
      await request.text();
      assert.equal(request.redirect, 'follow');
      assert.equal(request.bodyUsed, true);
      await assert.rejects(() => request.text(), TypeError);
    },
  },
  {
    name: 'lazy request: a byte order mark is dropped by text() and json(), as fetch says',
    async run() {
      assert.equal(await lazyRequest(new Parts('POST', '\ufefftext')).text(), 'text');
      assert.equal(await lazyRequest(new Parts('POST', '\ufeff1')).json(), 1);
    },
  },
];
