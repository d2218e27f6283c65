import { isArrayBuffer, isAsyncIterable, isStream, type OutgoingBody, streamFrom } from './body.js';
import { usageError } from './errors.js';
import { FileBody } from './file-body.js';
import type { LargeBytes } from './large-bytes.js';

/** What a Response can be made from: all that fetch takes, and asynchronous iterators of text or bytes. */
export type ResponseBody =
  | ConstructorParameters<typeof globalThis.Response>[0]
  | AsyncIterable<string | Uint8Array | ArrayBuffer | ArrayBufferView>;

/** A body ready to be sent. */
export interface Extracted {
  readonly body: OutgoingBody | Blob;
  /** The content type that comes with the body, `""` if none does. */
  readonly type: string;
}

/**
 * What fetch calls "extract a body", for all but text and null. Bytes are copied, so the caller may reuse its buffer; a
 * caller that need not may do something else with them by `take`.
 */
export function extractBody(
  body: Exclude<ResponseBody, string | null | undefined> | FileBody,
  take: (bytes: Uint8Array) => Uint8Array | LargeBytes = copyOf,
): Extracted {
  if (ArrayBuffer.isView(body)) {
    return { body: take(new Uint8Array(body.buffer, body.byteOffset, body.byteLength)), type: '' };
  }
  if (isArrayBuffer(body)) return { body: take(new Uint8Array(body, 0, body.byteLength)), type: '' };
  if (body instanceof FileBody) return { body, type: body.type };
  if (body instanceof Blob) return { body, type: body.type };
  if (body instanceof URLSearchParams) {
    return { body: body.toString(), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
  }
  if (body instanceof FormData) return extractForm(body);
  if (isStream(body)) return { body: unlocked(body), type: '' };
  if (isAsyncIterable(body)) return { body: streamFrom(body), type: '' };
  return { body: String(body), type: 'text/plain;charset=UTF-8' };
}

function copyOf(bytes: Uint8Array): Uint8Array {
  return bytes.slice();
}

function extractForm(form: FormData): Extracted {
  const real = new globalThis.Response(form);
  // The headers first: Bun forgets the boundary once the body was touched.
  const type = real.headers.get('content-type') ?? '';
  return { body: real.body, type };
}

function unlocked(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (!stream.locked) return stream;
  throw usageError(
    'ERR_H3_RESPONSE_BODY',
    'the ReadableStream given to the Response is locked: release its reader first',
  );
}
