import type { NativeBody, NativeServer } from '../binding.cjs';
import { pulledStream } from './body.js';
import { H3Error } from './errors.js';

type Steps = ReturnType<NativeBody[typeof Symbol.asyncIterator]>;

/**
 * The body of a streaming request. It is asked for when it is first read: left alone, the client is told to stop when the
 * answer is sent. Each pull takes what has arrived, up to 256 KiB; what is not pulled stays with the client.
 *
 * Errors with an {@link H3Error} if the client resets the stream, vanishes, or breaks a rule: a body never looks whole that
 * is not.
 */
export function incomingBody(
  native: NativeServer,
  slot: number,
  generation: number,
): ReadableStream<Uint8Array> {
  let body: NativeBody | null = null;
  let steps: Steps | null = null;
  const begin = (): Steps => {
    body = native.body(slot, generation);
    if (body === null) {
      const message = 'the request is over: read its body before the answer is complete';
      throw new H3Error('ERR_H3_CONNECTION_CLOSED', message);
    }
    return body[Symbol.asyncIterator]();
  };
  return pulledStream({
    async pull(controller) {
      steps ??= begin();
      try {
        const { done, value } = await steps.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        throw failureOf(body, error);
      }
    },
    async cancel() {
      if (steps === null) native.body(slot, generation)?.[Symbol.asyncIterator]().return();
      else await steps.return();
    },
  });
}

function failureOf(body: NativeBody | null, error: unknown): unknown {
  const failure = body?.failure ?? null;
  if (failure === null) return error;
  const { code, message, wireCode } = failure;
  return new H3Error(code, message, { remote: true, wireCode: wireCode ?? undefined });
}
