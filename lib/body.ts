import { describe, type UsageError, usageError } from './errors.js';
import type { FileBody } from './file-body.js';
import type { LargeBytes } from './large-bytes.js';

/** What a response body is by the time it goes out: text is sent as UTF-8. */
export type OutgoingBody = null | string | Uint8Array | LargeBytes | ReadableStream<Uint8Array> | FileBody;

/** Written so that the declarations need no types of Node. */
type UnderlyingSource = NonNullable<ConstructorParameters<typeof ReadableStream<Uint8Array>>[0]>;

/** The content of an empty body. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Text of `bytes`, without a byte order mark, malformed sequences replaced: "UTF-8 decode" as fetch does it. */
export function utf8(bytes: Uint8Array): string {
  return bytes.byteLength === 0 ? '' : decoder.decode(bytes);
}

/** The error of a second read. */
export function bodyUsed(): UsageError {
  return usageError(
    'ERR_H3_BODY_USED',
    'the body was already read: keep the result of the first read, or clone() first',
  );
}

/** Bytes of one chunk of a body: bytes, a view, an ArrayBuffer, or text. Throws a TypeError for anything else. */
export function chunkBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === 'string') return encoder.encode(chunk);
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (isArrayBuffer(chunk)) return new Uint8Array(chunk);
  throw usageError(
    'ERR_H3_RESPONSE_BODY',
    `a chunk of the body is ${describe(chunk)}; expected a Uint8Array or a string`,
  );
}

/** Whether `value` is an ArrayBuffer, also one of another realm. */
export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === '[object ArrayBuffer]';
}

/** Whether `value` is a ReadableStream, also one of another realm or of a polyfill. */
export function isStream(value: unknown): value is ReadableStream<Uint8Array> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'getReader' in value &&
    typeof value.getReader === 'function'
  );
}

/** Whether `value` can be iterated with `for await` as an asynchronous source. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** A stream over an asynchronous iterator, pulled chunk by chunk; cancelling it calls the iterator's `return()`. */
export function streamFrom(source: AsyncIterable<unknown>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const stop = async (): Promise<void> => {
    await iterator.return?.();
  };
  return pulledStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(bytesOrStop(value, stop));
    },
    cancel: stop,
  });
}

/** Bytes of `chunk`; if it has none, tells its producer to stop before throwing. */
export function bytesOrStop(chunk: unknown, stop: (reason: unknown) => Promise<void>): Uint8Array {
  try {
    return chunkBytes(chunk);
  } catch (error) {
    stop(error).catch(() => undefined);
    throw error;
  }
}

/** A stream that asks its source only when it is read: nothing is produced ahead. */
export function pulledStream(source: UnderlyingSource): ReadableStream<Uint8Array> {
  return new ReadableStream(source, { highWaterMark: 0 });
}

/** A stream that is at its end. */
export function noContent(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** A stream of `content`, if it is none already. */
export function streamOf(content: Uint8Array | ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (!(content instanceof Uint8Array)) return content;
  return pulledStream({
    pull(controller) {
      if (content.byteLength > 0) controller.enqueue(content);
      controller.close();
    },
  });
}
