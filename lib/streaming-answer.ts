import type { NativeServer } from '../binding.cjs';
import { chunkBytes } from './body.js';
import type { Exchange } from './exchange.js';

/** Bytes handed over before the producer waits until they are sent. */
const HIGH_WATER_MARK = 64 * 1024;
/** RFC 9114 §8.1. */
const H3_INTERNAL_ERROR = 0x102;

/**
 * Sends `stream` as the body of an answer whose head is on its way. The producer is pulled no faster than QUIC takes the
 * bytes; if the client goes away it is cancelled. Trailers follow the last byte. Returns what the producer of the body or of
 * the trailers threw, or null: the client then sees a reset stream, never an answer that looks whole.
 */
export async function sendStream(
  native: NativeServer,
  exchange: Exchange,
  stream: ReadableStream<Uint8Array>,
): Promise<Error | null> {
  const { slot, generation } = exchange;
  const reader = stream.getReader();
  exchange.onGone((reason) => {
    // A producer whose cancel() fails has nobody left to tell.
    reader.cancel(reason).catch(() => undefined);
  });
  let unsent = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (exchange.gone !== null) return null;
      if (done) break;
      const chunk = chunkBytes(value);
      unsent += chunk.byteLength;
      const full = unsent >= HIGH_WATER_MARK;
      native.write(slot, generation, chunk, full);
      if (full) {
        await exchange.untilDrained();
        unsent = 0;
      }
    }
    const { answerTrailers } = exchange;
    if (answerTrailers === null) {
      native.finish(slot, generation);
      return null;
    }
    const trailers = await answerTrailers();
    if (exchange.gone === null) native.finishWithTrailers(slot, generation, trailers);
    return null;
  } catch (error) {
    if (exchange.gone !== null) return null;
    native.reset(slot, generation, H3_INTERNAL_ERROR);
    reader.cancel(error).catch(() => undefined);
    return error instanceof Error ? error : new Error(String(error), { cause: error });
  }
}
