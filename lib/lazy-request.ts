import { bodyUsed, NO_BYTES, utf8 } from './body.js';
import { faceHeaders, lazyHeaders } from './headers.js';
import { ownRequest } from './own-request.js';
import { type H3Request, type IncomingParts, PARTS } from './request.js';
import { isSerialisedUrl } from './serialised-url.js';
import { standFor } from './stand-in.js';

/**
 * A Request over the parts: method, url, headers and body readers come straight from them; anything else (clone,
 * formData, body, ...) builds one real Request, once, which then holds the state.
 */
class LazyRequest {
  readonly #parts: IncomingParts;
  readonly #url: string;
  #headers: Headers | null = null;
  #real: H3Request | null = null;
  #used = false;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    this.#url = isSerialisedUrl(parts.url) ? parts.url : new URL(parts.url).href;
  }

  get [PARTS](): IncomingParts {
    return this.#parts;
  }

  get method(): string {
    return this.#parts.method;
  }

  get url(): string {
    return this.#url;
  }

  get headers(): Headers {
    this.#headers ??= this.#real === null ? lazyHeaders(this.#parts.fields) : this.#real.headers;
    return this.#headers;
  }

  get params(): Record<string, string> {
    return this.#parts.params;
  }

  get signal(): AbortSignal {
    return this.#parts.signal;
  }

  get trailers(): Promise<Headers> {
    return this.#parts.trailers;
  }

  get earlyData(): boolean {
    return this.#parts.earlyData;
  }

  get body(): Request['body'] {
    return this.#parts.body === null ? null : LazyRequest.realOf(this).body;
  }

  get bodyUsed(): boolean {
    return this.#real === null ? this.#used : this.#real.bodyUsed;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const reader = this.#reader();
    if (reader !== null) return reader.arrayBuffer();
    return this.#takeOwn().buffer as ArrayBuffer;
  }

  async blob(): Promise<Blob> {
    const reader = this.#reader();
    if (reader !== null) return reader.blob() as Promise<Blob>;
    const bytes = this.#take();
    return new Blob([bytes], { type: this.headers.get('content-type') ?? '' });
  }

  async bytes(): Promise<Uint8Array> {
    const reader = this.#reader();
    return reader === null ? this.#takeOwn() : new Uint8Array(await reader.arrayBuffer());
  }

  async json(): Promise<unknown> {
    const reader = this.#reader();
    return reader === null ? JSON.parse(utf8(this.#take())) : reader.json();
  }

  async text(): Promise<string> {
    const reader = this.#reader();
    return reader === null ? utf8(this.#take()) : reader.text();
  }

  /** Who reads the content: the real Request if there is one or the content is a stream; null: {@link take}. */
  #reader(): H3Request | null {
    return this.#parts.body instanceof ReadableStream ? LazyRequest.realOf(this) : this.#real;
  }

  /** The content, once, in memory that other requests may share. */
  #take(): Uint8Array {
    if (this.#used) throw bodyUsed();
    const { body } = this.#parts;
    if (body === null || body instanceof ReadableStream) return NO_BYTES;
    this.#used = true;
    return body;
  }

  /** The content, once, in memory of its own: nobody finds what others sent behind it. */
  #takeOwn(): Uint8Array {
    const bytes = this.#take();
    const isOwn = bytes.byteLength === bytes.buffer.byteLength && bytes !== NO_BYTES;
    return isOwn ? bytes : bytes.slice();
  }

  static realOf(request: LazyRequest): H3Request {
    return request.#real ?? request.#build();
  }

  #build(): H3Request {
    const real = ownRequest(this.#parts);
    if (this.#headers !== null) faceHeaders(this.#headers, real.headers);
    if (this.#used) void real.arrayBuffer();
    this.#real = real;
    return real;
  }
}

standFor(LazyRequest, Request, new Request('https://localhost/'), (request) =>
  LazyRequest.realOf(request as LazyRequest),
);

/**
 * A cheaper object for `parts` that passes for a Request with `instanceof` and in all its members, but not where a
 * runtime looks inside: `new Request(req)` and `fetch(req)` may throw; use `req.clone()` there. Throws a TypeError if
 * the URL is none.
 *
 * Measured like in own-request.ts, CPU ns on Node 20 / Node 26 / Bun / Deno: 194/148/130/161; with method, url and one
 * header read 300/260/224/485; with its headers iterated 1570/1196/757/5145.
 */
export function lazyRequest(parts: IncomingParts): H3Request {
  return new LazyRequest(parts) as unknown as H3Request;
}
