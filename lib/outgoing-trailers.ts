import { isStream, NO_BYTES, streamOf } from './body.js';
import { describe, usageError } from './errors.js';
import { addField, findField, type PackedFields } from './fields.js';
import { FileBody } from './file-body.js';
import { packHeaders } from './headers.js';
import { LargeBytes } from './large-bytes.js';
import { NativeExchanges } from './native.js';
import { fromNative } from './native-error.js';
import type { Outgoing } from './response.js';

type HeadersInit = ConstructorParameters<typeof Headers>[0];

/** Trailer fields: as `new Headers()` takes them, a promise of that, or a function called when the body has been sent. */
export type Trailers =
  | HeadersInit
  | PromiseLike<HeadersInit>
  | (() => HeadersInit | PromiseLike<HeadersInit>);

/** Gives the checked fields of trailers once the body is over. */
export type TrailersSource = () => PackedFields | Promise<PackedFields>;

const sources = new WeakMap<object, TrailersSource>();
const encoder = new TextEncoder();

/**
 * Sends `trailers` behind the body of `response` (RFC 9114 §4.1), and returns the same Response. A function is called once,
 * when the body has been read to its end. An answer without content (to HEAD, 204, 304) has no trailers.
 *
 * Throws a TypeError for fields that may not be trailers (RFC 9110 §6.5.1): those that frame, route, control or describe a
 * message. If a promise or function fails, or gives such fields, the stream is reset with H3_INTERNAL_ERROR and the error
 * goes to the logger: the client never sees an answer that looks whole. A `clone()` of the Response has no trailers.
 * A file is then read here and sent whole, whatever conditions or range the request has.
 *
 * @example
 * async function* rows() {
 *   yield 'a row\n';
 * }
 * createH3Server({ fetch: () => withTrailers(new Response(rows()), () => ({ 'x-rows': '1' })) });
 */
export function withTrailers<Answer extends globalThis.Response>(
  response: Answer,
  trailers: Trailers,
): Answer {
  if (typeof response !== 'object' || response === null) {
    throw usageError(
      'ERR_H3_RESPONSE_TYPE',
      `withTrailers() was given ${describe(response)}; expected a Response`,
    );
  }
  sources.set(response, trailersSource(trailers));
  return response;
}

/** Where the trailers of what a handler returned come from, or null if it has none. */
export function trailersOf(response: unknown): TrailersSource | null {
  return typeof response === 'object' && response !== null ? (sources.get(response) ?? null) : null;
}

/**
 * The same answer with a stream for its body, which goes out piece by piece, and whose end this side sees, so that trailers
 * can follow. The length of what is whole is told as before.
 */
export function asStream(outgoing: Outgoing): Outgoing {
  const { body, fields } = outgoing;
  if (body instanceof FileBody) return { ...outgoing, body: body.stream() };
  if (isStream(body)) return outgoing;
  const bytes = typeof body === 'string' ? encoder.encode(body) : (body ?? NO_BYTES);
  const stream = bytes instanceof LargeBytes ? bytes.stream() : streamOf(bytes);
  const isTold = findField(fields, 'content-length') !== null;
  return {
    ...outgoing,
    fields: isTold ? fields : addField(fields, 'content-length', `${bytes.byteLength}`),
    body: stream,
  };
}

/** Where the checked fields of `trailers` come from. Throws a TypeError for fields that may not be trailers. */
export function trailersSource(trailers: Trailers): TrailersSource {
  if (typeof trailers === 'function') {
    return () => {
      const given = trailers();
      return isPromise(given) ? packed(given) : checked(given);
    };
  }
  if (isPromise(trailers)) {
    const fields = packed(trailers);
    // An answer that is never sent, or has no content, does not look at it.
    fields.catch(() => undefined);
    return () => fields;
  }
  const fields = checked(trailers);
  return () => fields;
}

async function packed(trailers: PromiseLike<HeadersInit>): Promise<PackedFields> {
  return checked(await trailers);
}

function checked(trailers: HeadersInit): PackedFields {
  const fields = packHeaders(trailers);
  try {
    NativeExchanges.checkTrailers(fields);
  } catch (error) {
    throw fromNative(error);
  }
  return fields;
}

function isPromise(value: Trailers): value is PromiseLike<HeadersInit> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
