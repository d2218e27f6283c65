import { describe, usageError } from '../errors.js';
import { CONNECTION_FIELDS, eachField, isToken, type PackedFields } from '../fields.js';
import { packHeaders, packReal } from '../headers.js';
import { type Trailers, type TrailersSource, trailersSource } from '../outgoing-trailers.js';
import { badRequest } from './failure.js';
import { type H3RequestBody, RequestBody } from './request-body.js';
import { RequestUrl } from './request-url.js';

type PlatformInit = Omit<RequestInit, 'body' | 'duplex' | 'dispatcher'>;

/**
 * What fetch takes, and a little more. There are no cookies, no cache and no page here: `cache`, `credentials`, `keepalive`,
 * `mode`, `priority`, `referrer`, `referrerPolicy` and `window` are ignored, and no port is forbidden.
 */
export interface H3RequestInit extends PlatformInit {
  /** Text, bytes, `Blob`, `FormData`, `URLSearchParams`, a stream or an asynchronous iterator. Default: none. */
  body?: H3RequestBody | null;
  /**
   * Needed for a body that is a stream or an asynchronous iterator. As on Node, Bun and Deno the response is there as soon as
   * its head is, also while the body goes on: `"full"` says that the caller counts on it.
   */
  duplex?: 'half' | 'full';
  /** Sent behind the body (RFC 9114 §4.1); a function is called when the body has been sent. Default: none. */
  trailers?: Trailers;
  /** False keeps this request out of early data, whatever the client's `earlyData` says. Default true. */
  earlyData?: boolean;
  /** Hears of each interim answer (1xx), such as 103, before the response. What it throws is ignored. */
  onInformational?(status: number, headers: Headers): void;
}

/** What fetch takes first: a Request of this or any other runtime, or an absolute https URL. */
export type H3RequestInput = string | URL | Request;

/** A request after "new Request()" (Fetch §5.4): checked, nothing sent. */
export interface OutgoingRequest {
  readonly method: string;
  readonly url: RequestUrl;
  /** What the caller gave; what is added depends on the body. */
  readonly fields: PackedFields;
  readonly body: RequestBody | null;
  readonly redirect: 'follow' | 'error' | 'manual';
  readonly signal: AbortSignal | null;
  /** Hashes that the body must have (SRI), or `""`. */
  readonly integrity: string;
  readonly trailers: TrailersSource | null;
  readonly mayBeEarly: boolean;
  readonly onInformational: ((status: number, headers: Headers) => void) | null;
  /** `:protocol` of an extended CONNECT. */
  readonly protocol: string | null;
}

/** What of a Request is read here: that of any realm, polyfill, or of our server. */
interface ForeignRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body?: ReadableStream<Uint8Array> | null;
  readonly bodyUsed?: boolean;
  readonly redirect?: unknown;
  readonly signal?: unknown;
  readonly integrity?: unknown;
}

/** "Normalize a method" (Fetch §2.2.1): these are sent in upper case, however they are written. */
const NORMALISED: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT']);
/** "Forbidden methods" (Fetch §2.2.1). */
const FORBIDDEN: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);
const REDIRECTS = ['follow', 'error', 'manual'] as const;
const DIGITS = /^\d+$/;

/**
 * Reads what the caller of fetch passed. Throws a TypeError for what no request can be. `protocol` makes it an extended
 * CONNECT (RFC 9220), whose method is left out.
 */
export function readRequest(
  input: unknown,
  init: H3RequestInit | undefined,
  protocol: string | null,
): OutgoingRequest {
  const given: H3RequestInit = init ?? {};
  if (typeof given !== 'object') throw badRequest(`init is ${describe(init)}; expected an object`);
  const source = isRequest(input) ? input : null;
  const url = readUrl(source === null ? input : source.url);
  const method = protocol === null ? readMethod(given.method ?? source?.method ?? 'GET') : 'CONNECT';
  const fields = readFields(given.headers ?? source?.headers);
  const body = readBody(given, source);
  if (body !== null && (method === 'GET' || method === 'HEAD')) {
    throw badRequest(`a ${method} request cannot have a body: use another method, or put it into the URL`);
  }
  if (given.trailers !== undefined && body === null) {
    throw badRequest('trailers go behind a body, and the request has none');
  }
  return {
    method,
    url,
    fields,
    body,
    redirect: readRedirect(given.redirect ?? source?.redirect ?? 'follow'),
    signal: readSignal(given.signal === undefined ? source?.signal : given.signal),
    integrity: `${given.integrity ?? source?.integrity ?? ''}`,
    trailers: given.trailers === undefined ? null : trailersSource(given.trailers),
    mayBeEarly: given.earlyData !== false,
    onInformational: readListener(given.onInformational),
    protocol,
  };
}

function isRequest(input: unknown): input is ForeignRequest {
  if (typeof input !== 'object' || input === null || input instanceof URL) return false;
  const { url, method, headers } = input as Partial<ForeignRequest>;
  return typeof url === 'string' && typeof method === 'string' && typeof headers?.forEach === 'function';
}

function readUrl(input: unknown): RequestUrl {
  const text = input instanceof URL ? input.href : input;
  const read = typeof text === 'string' ? RequestUrl.read(text) : null;
  if (read !== null) return read;
  let url: URL;
  try {
    url = new URL(input as string | URL);
  } catch (cause) {
    const text = typeof input === 'string' ? JSON.stringify(input) : describe(input);
    throw badRequest(`${text} is no absolute URL`, cause);
  }
  if (url.username === '' && url.password === '') return RequestUrl.of(url);
  throw badRequest('the URL has a user name or password: send an authorization header instead');
}

function readMethod(given: unknown): string {
  if (given === 'GET') return given;
  const method = `${given as string}`;
  if (!isToken(method)) throw badRequest(`${JSON.stringify(method)} is no HTTP method`);
  const upper = method.toUpperCase();
  if (FORBIDDEN.has(upper)) throw badRequest(`fetch cannot send ${upper}: use request() for a tunnel`);
  return NORMALISED.has(upper) ? upper : method;
}

/** The fields of `headers`, checked. Throws a TypeError for what cannot be sent over HTTP/3. */
export function readFields(headers: H3RequestInit['headers']): PackedFields {
  if (headers === undefined) return '';
  const packed =
    typeof (headers as Headers).forEach === 'function' && !Array.isArray(headers)
      ? packReal(headers as Headers)
      : packHeaders(headers);
  eachField(packed, checkField);
  return packed;
}

function checkField(name: string, value: string): void {
  // RFC 9114 §4.2: `te` may say "trailers" and nothing else.
  const forbidden = CONNECTION_FIELDS.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers');
  if (forbidden) {
    throw usageError('ERR_H3_HEADER', `HTTP/3 forbids the header "${name}" (RFC 9114 §4.2): remove it`);
  }
  if (name === 'content-length' && !DIGITS.test(value)) {
    throw badRequest('content-length must be one decimal number: leave it out, it is added automatically');
  }
}

function readBody(given: H3RequestInit, source: ForeignRequest | null): RequestBody | null {
  const { body } = given;
  if (body !== undefined && body !== null) {
    const { duplex } = given;
    if (duplex !== undefined && duplex !== 'half' && duplex !== 'full') {
      throw badRequest(`duplex is ${JSON.stringify(duplex)}; expected "half" or "full"`);
    }
    if (duplex === undefined && RequestBody.isStreamed(body)) {
      throw badRequest('a body that is streamed needs duplex: "half" or "full" in init');
    }
    return RequestBody.from(body);
  }
  if (source?.bodyUsed === true)
    throw badRequest('the body of the Request was already read: clone() it first');
  return source?.body ? RequestBody.ofRequest(source.body) : null;
}

function readRedirect(given: unknown): OutgoingRequest['redirect'] {
  const found = REDIRECTS.find((mode) => mode === given);
  if (found !== undefined) return found;
  throw badRequest(`redirect is ${JSON.stringify(given)}; expected "follow", "error" or "manual"`);
}

function readSignal(given: unknown): AbortSignal | null {
  if (given === undefined || given === null) return null;
  const { aborted, addEventListener } = given as Partial<AbortSignal>;
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return given as AbortSignal;
  throw badRequest(`signal is ${describe(given)}; expected an AbortSignal`);
}

function readListener(given: unknown): OutgoingRequest['onInformational'] {
  if (given === undefined) return null;
  if (typeof given === 'function') return given as NonNullable<OutgoingRequest['onInformational']>;
  throw badRequest(`onInformational is ${describe(given)}; expected a function`);
}
