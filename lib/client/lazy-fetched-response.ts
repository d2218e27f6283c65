import { bodyUsed, isStream, NO_BYTES, utf8 } from '../body.js';
import { faceHeaders, lazyHeaders } from '../headers.js';
import { standFor } from '../stand-in.js';
import { FetchedResponse, PROVENANCE, type Provenance } from './fetched-response.js';
import type { ResponseConnection } from './transport.js';

/** Finds packed fields of which a value has blanks around it, which are no part of it (RFC 9110 §5.5). */
const PADDED = /\0[^\0:]*:[\t ]|[\t ](?:\0|$)/;

/**
 * A Response over what came: status, headers and body readers come straight from it; anything else (clone, formData, body, …)
 * builds one real Response, once, which then holds the state.
 */
class LazyFetchedResponse {
  readonly #provenance: Provenance;
  readonly #body: Uint8Array | ReadableStream<Uint8Array> | null;
  #headers: Headers | null = null;
  #real: FetchedResponse | null = null;
  #used = false;

  constructor(body: Uint8Array | ReadableStream<Uint8Array> | null, provenance: Provenance) {
    this.#body = body;
    this.#provenance = provenance;
  }

  get [PROVENANCE](): Provenance {
    return this.#provenance;
  }

  get status(): number {
    return this.#provenance.parts.status;
  }

  get statusText(): string {
    return '';
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  get type(): 'basic' {
    return 'basic';
  }

  get url(): string {
    return this.#provenance.url;
  }

  get redirected(): boolean {
    return this.#provenance.redirected;
  }

  get connection(): ResponseConnection {
    return this.#provenance.parts.connection;
  }

  get trailers(): Promise<Headers> {
    return this.#provenance.parts.trailers;
  }

  get headers(): Headers {
    if (this.#headers === null) {
      const { fields } = this.#provenance.parts;
      const isPlain = this.#real === null && !PADDED.test(fields);
      this.#headers = isPlain ? lazyHeaders(fields) : LazyFetchedResponse.realOf(this).headers;
    }
    return this.#headers;
  }

  get body(): Response['body'] {
    return this.#body === null ? null : platform(LazyFetchedResponse.realOf(this)).body;
  }

  get bodyUsed(): boolean {
    return this.#real === null ? this.#used : platform(this.#real).bodyUsed;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const reader = this.#reader();
    return reader === null ? (this.#take().buffer as ArrayBuffer) : reader.arrayBuffer();
  }

  async bytes(): Promise<Uint8Array> {
    const reader = this.#reader();
    return reader === null ? this.#take() : new Uint8Array(await reader.arrayBuffer());
  }

  async json(): Promise<unknown> {
    const reader = this.#reader();
    return reader === null ? JSON.parse(utf8(this.#view())) : reader.json();
  }

  async text(): Promise<string> {
    const reader = this.#reader();
    return reader === null ? utf8(this.#view()) : reader.text();
  }

  /** Who reads the content: the real Response if there is one or the content is a stream; null: {@link #view}. */
  #reader(): Response | null {
    if (isStream(this.#body)) return platform(LazyFetchedResponse.realOf(this));
    return this.#real === null ? null : platform(this.#real);
  }

  /** The content, once, in memory that may be shared. */
  #view(): Uint8Array<ArrayBuffer> {
    if (this.#used) throw bodyUsed();
    const body = this.#body;
    if (body === null || isStream(body)) return NO_BYTES as Uint8Array<ArrayBuffer>;
    this.#used = true;
    return body as Uint8Array<ArrayBuffer>;
  }

  /** The content, once, in memory of its own. */
  #take(): Uint8Array {
    const bytes = this.#view();
    const isOwn = bytes.byteLength === bytes.buffer.byteLength && bytes !== NO_BYTES;
    return isOwn ? bytes : bytes.slice();
  }

  static realOf(response: LazyFetchedResponse): FetchedResponse {
    return response.#real ?? response.#build();
  }

  #build(): FetchedResponse {
    const real = new FetchedResponse(this.#body, this.#provenance);
    if (this.#headers !== null) faceHeaders(this.#headers, real.headers);
    if (this.#used) void platform(real).arrayBuffer();
    this.#real = real;
    return real;
  }
}

standFor(LazyFetchedResponse, Response, new Response(), (response) =>
  platform(LazyFetchedResponse.realOf(response as LazyFetchedResponse)),
);

function platform(response: FetchedResponse): Response {
  return response as unknown as Response;
}

/**
 * A cheaper object that passes for a Response with `instanceof` and in all its members, but not where a runtime looks inside.
 *
 * Measured, with its content read, CPU µs on Node 26: 0.9, where the runtime's own costs 5.4.
 */
export function lazyFetchedResponse(
  body: Uint8Array | ReadableStream<Uint8Array> | null,
  provenance: Provenance,
): object {
  return new LazyFetchedResponse(body, provenance);
}
