import { Buffer } from 'node:buffer';
import { isAsyncIterable, isStream, type OutgoingBody, streamFrom } from './body.js';
import { isBuffered, peek } from './buffered-body.js';
import { bunFile } from './bun-file.js';
import { isStillEncoded } from './client/response.js';
import { describe, usageError } from './errors.js';
import { addField, CONNECTION_FIELDS, eachField, findField, type PackedFields } from './fields.js';
import { packReal } from './headers.js';
import { COPIED_BYTES, LargeBytes } from './large-bytes.js';
import { finalStatus, type ResponseParts, sentTwice, takeLazyResponse } from './lazy-response.js';
import { type Taken, takeBody } from './take-body.js';

export type { OutgoingBody } from './body.js';
export { Response, type ResponseBody, type ResponseClass } from './lazy-response.js';

/**
 * A response in the form that crosses the border. For HEAD and for statuses without content the server drops the body;
 * a `content-length` is then allowed to be that of the GET, so without a body it is checked there.
 */
export interface Outgoing {
  /** 200 to 599. */
  readonly status: number;
  /** Packed like those of a request; each `set-cookie` is a field of its own. */
  readonly fields: PackedFields;
  /** A stream may yield whatever its producer makes: pass each chunk through `chunkBytes` (body.ts). */
  readonly body: OutgoingBody;
}

/** What is read of a Response that is not ours: of any runtime, realm or polyfill. */
interface ForeignResponse {
  readonly status: number;
  readonly headers: Pick<Headers, 'forEach'>;
  readonly url?: unknown;
  readonly body?: unknown;
  readonly bodyUsed?: unknown;
  arrayBuffer?(): Promise<ArrayBuffer>;
}

/** What fetch did with the content coding of a response; `unknown`: the runtime's own fetch does not say. */
type FetchedCoding = 'undone' | 'kept' | 'unknown';

/** A Blob up to this size is read in one step; a larger one, such as a file of Bun, is streamed. */
const BLOB_IN_ONE_STEP_BYTES = 256 * 1024;

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose.
const CONTROL_CHARACTER = /[\x01-\x08\x0a-\x1f\x7f]/;
/** Finds packed fields whose names have a rule. */
const RULED_NAME = new RegExp(
  `\\0(?:${[...CONNECTION_FIELDS, 'content-encoding', 'content-length'].join('|')}):`,
);
/** Content codings that fetch has undone on every runtime by the time its Response is here. */
const FETCH_DECODES = /^(?:gzip|x-gzip|deflate|br)$/i;
const DIGITS = /^\d+$/;

/** Fields that were found to need no check, as a program gives them again and again. Full: it stops learning. */
const plainFields = new Set<PackedFields>(['']);
const PLAIN_FIELDS_LIMIT = 256;
const PLAIN_FIELDS_CHARACTERS = 128;

/**
 * Reads what a handler returned. No promise for a Response of this package made from text, bytes or a stream; a promise
 * for a Blob and for the runtime's own Response, whose body takes a turn to read. A slow stream is never waited for.
 * Throws, or rejects with, a TypeError for what is no Response and for headers and bodies that HTTP/3 cannot carry, and
 * a RangeError for a status outside 200 to 599.
 */
export function readResponse(value: unknown): Outgoing | Promise<Outgoing> {
  if (typeof value !== 'object' || value === null) throw notResponse(value);
  const lazy = takeLazyResponse(value);
  if (lazy === null) return readForeign(foreignResponse(value));
  return 'arrayBuffer' in lazy ? readForeign(lazy) : readParts(lazy);
}

function readParts({ status, fields, body }: ResponseParts): Outgoing | Promise<Outgoing> {
  if (body instanceof Blob) {
    // A part of a file (RFC 9110 §15.3.7) is what its handler made of it.
    const file = status === 206 ? null : bunFile(body);
    if (file === null) return readBlob(status, fields, body);
    return { status, fields: checkedFields(fields, file, null), body: file };
  }
  if (isStream(body) && body.locked) throw lockedBody();
  return { status, fields: checkedFields(fields, body, null), body };
}

async function readBlob(status: number, fields: PackedFields, blob: Blob): Promise<Outgoing> {
  if (blob.size <= BLOB_IN_ONE_STEP_BYTES) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return { status, fields: checkedFields(fields, bytes, null), body: bytes };
  }
  const body = blob.stream() as ReadableStream<Uint8Array>;
  const checked = checkedFields(fields, body, null);
  // Those of Bun may have no size yet.
  const addsLength = Number.isSafeInteger(blob.size) && findField(checked, 'content-length') === null;
  return { status, fields: addsLength ? addField(checked, 'content-length', `${blob.size}`) : checked, body };
}

function readForeign(response: ForeignResponse): Outgoing | Promise<Outgoing> {
  const status = finalStatus(response.status);
  if (response.bodyUsed === true) throw sentTwice();
  // Before the body: Bun drops the content type of a FormData body once the body was touched.
  const fields = packReal(response.headers);
  const fetched = fetchedCoding(response);
  if (fetched === null && isBuffered(response)) return readBuffered(status, fields, response);
  const { body } = response;
  if (body === null) return { status, fields: checkedFields(fields, null, fetched), body };
  if (isStream(body)) {
    if (body.locked) throw lockedBody();
    return readStream(status, fields, body, fetched);
  }
  if (isAsyncIterable(body)) return readStream(status, fields, streamFrom(body), fetched);
  return readBuffer(status, fields, response, fetched);
}

/** Bun: a promise that is already settled is looked into instead of awaited. */
function readBuffered(
  status: number,
  fields: PackedFields,
  response: ForeignResponse,
): Outgoing | Promise<Outgoing> {
  const ready = (bytes: Uint8Array): Outgoing => {
    const body = bytes.byteLength > COPIED_BYTES ? new LargeBytes(bytes) : bytes;
    return { status, fields: checkedFields(fields, body, null), body };
  };
  const read = (response as unknown as { bytes(): Promise<Uint8Array> }).bytes();
  const bytes = peek(read);
  return bytes instanceof Uint8Array ? ready(bytes) : read.then(ready);
}

function readStream(
  status: number,
  fields: PackedFields,
  stream: ReadableStream<Uint8Array>,
  fetched: FetchedCoding | null,
): Outgoing | Promise<Outgoing> {
  const ready = (body: Taken): Outgoing => ({ status, fields: checkedFields(fields, body, fetched), body });
  const taken = takeBody(stream);
  return taken instanceof Promise ? taken.then(ready) : ready(taken);
}

async function readBuffer(
  status: number,
  fields: PackedFields,
  response: ForeignResponse,
  fetched: FetchedCoding | null,
): Promise<Outgoing> {
  if (typeof response.arrayBuffer !== 'function') throw notResponse(response);
  const body = new Uint8Array(await response.arrayBuffer());
  return { status, fields: checkedFields(fields, body, fetched), body };
}

/** `fields` if HTTP/3 can carry them. Those of a fetched response are first stripped as an intermediary must do it. */
function checkedFields(
  fields: PackedFields,
  body: OutgoingBody,
  fetched: FetchedCoding | null,
): PackedFields {
  if (arePlain(fields)) return fields;
  const kept = fetched === null ? withoutChunked(fields) : forwardedFields(fields, body !== null, fetched);
  eachField(kept, (name, value) => checkField(name, value, body));
  return kept;
}

/** Whether no name among the fields has a rule, and no value a control character. */
function arePlain(fields: PackedFields): boolean {
  if (plainFields.has(fields)) return true;
  if (RULED_NAME.test(fields) || CONTROL_CHARACTER.test(fields)) return false;
  if (fields.length <= PLAIN_FIELDS_CHARACTERS && plainFields.size < PLAIN_FIELDS_LIMIT) {
    plainFields.add(fields);
  }
  return true;
}

/**
 * Without `transfer-encoding: chunked`, which says of HTTP/1.1 what the frames of HTTP/3 say by themselves. Frameworks set
 * it on streams.
 */
function withoutChunked(fields: PackedFields): PackedFields {
  let kept: PackedFields = '';
  eachField(fields, (name, value) => {
    if (name !== 'transfer-encoding' || value.toLowerCase() !== 'chunked') kept = addField(kept, name, value);
  });
  return kept;
}

function checkField(name: string, value: string, body: OutgoingBody): void {
  if (CONTROL_CHARACTER.test(value)) {
    throw usageError(
      'ERR_H3_HEADER',
      `the value of header "${name}" has a control character (RFC 9110 §5.5)`,
    );
  }
  // RFC9110-7.6.1-connection-fields-sent
  if (CONNECTION_FIELDS.has(name)) {
    throw usageError(
      'ERR_H3_HEADER',
      `HTTP/3 forbids the header "${name}" (RFC 9114 §4.2): remove it from the Response`,
    );
  }
  if (name === 'content-length') checkLength(value, body);
}

function checkLength(value: string, body: OutgoingBody): void {
  // RFC9110-8.6-invalid-refused
  if (!DIGITS.test(value)) {
    throw usageError('ERR_H3_RESPONSE_LENGTH', 'content-length must be one decimal number (RFC 9110 §8.6)');
  }
  const length =
    typeof body === 'string'
      ? Buffer.byteLength(body)
      : body instanceof Uint8Array || body instanceof LargeBytes
        ? body.byteLength
        : null;
  // RFC9110-8.6-contradiction-refused
  if (length === null || Number(value) === length) return;
  throw usageError(
    'ERR_H3_RESPONSE_LENGTH',
    `content-length is ${value}, but the body has ${length} bytes: remove the header, it is added automatically`,
  );
}

/**
 * Fields of a response that fetch received, ready to be passed on: without those of the HTTP/1.1 connection it came
 * over (RFC 9114 §4.2, RFC9110-7.6.1-fetched-connection-fields) and those that its Connection named
 * (RFC9110-7.6.1-fetched-connection-options), and without content coding and length where fetch has already decoded the
 * content.
 */
function forwardedFields(fields: PackedFields, hasBody: boolean, coding: FetchedCoding): PackedFields {
  let decoded = hasBody && coding === 'undone';
  const options = new Set<string>();
  eachField(fields, (name, value) => {
    if (name === 'connection')
      for (const option of value.split(',')) options.add(option.trim().toLowerCase());
    if (name === 'content-encoding' && coding === 'unknown')
      decoded = hasBody && value.split(',').every((coding) => FETCH_DECODES.test(coding.trim()));
  });
  let kept: PackedFields = '';
  eachField(fields, (name, value) => {
    const stale = decoded && (name === 'content-encoding' || name === 'content-length');
    if (!stale && !CONNECTION_FIELDS.has(name) && !options.has(name)) kept = addField(kept, name, value);
  });
  return kept;
}

/** Null: it did not come out of fetch. Only a Response that did has a URL: then we are an intermediary. */
function fetchedCoding(response: ForeignResponse): FetchedCoding | null {
  if (typeof response.url !== 'string' || response.url === '') return null;
  const encoded = isStillEncoded(response);
  if (encoded === null) return 'unknown';
  return encoded ? 'kept' : 'undone';
}

function foreignResponse(value: object): ForeignResponse {
  const { status, headers } = value as Partial<ForeignResponse>;
  const hasHeaders = typeof headers === 'object' && headers !== null && typeof headers.forEach === 'function';
  if (typeof status === 'number' && hasHeaders) return value as ForeignResponse;
  throw notResponse(value);
}

function notResponse(value: unknown): TypeError {
  const advice = value === undefined ? 'is a return missing?' : howToWrap(value);
  return usageError(
    'ERR_H3_RESPONSE_TYPE',
    `the handler returned ${describe(value)}; expected a Response: ${advice}`,
  );
}

/** The Response of every runtime takes text, bytes and streams, but not each takes what is iterated asynchronously. */
function howToWrap(value: unknown): string {
  return isAsyncIterable(value) && !isStream(value)
    ? "wrap it in the Response of this package: import { Response } from 'trilane'; return new Response(body)"
    : 'wrap it: new Response(...) or Response.json(...)';
}

function lockedBody(): TypeError {
  return usageError(
    'ERR_H3_RESPONSE_BODY',
    'the body of the Response is locked by a reader: return it unread',
  );
}
