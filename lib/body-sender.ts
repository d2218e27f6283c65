import type { NativeExchanges } from '../binding.cjs';
import { chunkBytes } from './body.js';
import { bytesGone } from './large-bytes.js';
import type { TrailersSource } from './outgoing-trailers.js';

/**
 * Bytes handed over before the producer waits until they are sent. Each wait is two hops between threads: half as much costs
 * 8 % more CPU for a byte.
 */
const HIGH_WATER_MARK = 128 * 1024;
/**
 * The same before QUIC has taken anything: whoever asks for hundreds of long answers and reads none would else keep their
 * producers busy for what is never sent.
 */
const FIRST_MARK = 16 * 1024;
/** Of a chunk that is longer only so much is handed over before that is sent: what is not yet sent is there once, not twice. */
const SLICE_BYTES = 512 * 1024;

/** An exchange that sends a body: an answer, or a request of a client. */
export interface Sender {
  readonly slot: number;
  readonly generation: number;
  /** Whether nothing more can be sent. */
  readonly isGone: boolean;
  /** What follows the last byte. */
  readonly outgoingTrailers: TrailersSource | null;
  /** The HTTP/3 code of a body whose producer fails. */
  readonly failureCode: number;
  /** Calls `listener` once if nothing more can be sent; at once if that is so already. */
  onGone(listener: (reason: Error) => void): void;
  /** Resolves when all that was written is sent, or nothing more can be. */
  untilDrained(): Promise<void>;
}

/**
 * Sends `stream` as the body of a message whose head is on its way. The producer is pulled no faster than QUIC takes the
 * bytes; if the peer goes away it is cancelled. Trailers follow the last byte. Returns what the producer of the body or of
 * the trailers threw, or null: the peer then sees a reset stream, never a message that looks whole.
 */
export async function sendStream(
  native: NativeExchanges,
  exchange: Sender,
  stream: ReadableStream<Uint8Array>,
): Promise<Error | null> {
  const { slot, generation } = exchange;
  const reader = stream.getReader();
  exchange.onGone((reason) => {
    // A producer whose cancel() fails has nobody left to tell.
    reader.cancel(reason).catch(() => undefined);
  });
  let unsent = 0;
  let mark = FIRST_MARK;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (exchange.isGone) return null;
      if (done) break;
      const given = chunkBytes(value);
      const chunk = given.byteLength > SLICE_BYTES ? await sendSlices(native, exchange, given) : given;
      if (exchange.isGone) return null;
      unsent += chunk.byteLength;
      const full = unsent >= mark;
      native.write(slot, generation, chunk, full);
      if (full) {
        await exchange.untilDrained();
        unsent = 0;
        mark = HIGH_WATER_MARK;
      }
    }
    const { outgoingTrailers } = exchange;
    if (outgoingTrailers === null) {
      native.finish(slot, generation);
      return null;
    }
    const trailers = await outgoingTrailers();
    if (!exchange.isGone) native.finishWithTrailers(slot, generation, trailers);
    return null;
  } catch (error) {
    if (exchange.isGone) return null;
    native.reset(slot, generation, exchange.failureCode);
    reader.cancel(error).catch(() => undefined);
    return error instanceof Error ? error : new Error(String(error), { cause: error });
  }
}

/** Sends `chunk` up to its last slice, which is returned. Throws a TypeError if its buffer is taken away meanwhile. */
async function sendSlices(native: NativeExchanges, exchange: Sender, chunk: Uint8Array): Promise<Uint8Array> {
  const length = chunk.byteLength;
  // With a length of its own, also if that of the chunk follows a buffer that grows.
  const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, length);
  let at = 0;
  for (; length - at > SLICE_BYTES && !exchange.isGone; at += SLICE_BYTES) {
    native.write(exchange.slot, exchange.generation, bytes.subarray(at, at + SLICE_BYTES), true);
    await exchange.untilDrained();
    if (bytes.byteLength !== length) throw bytesGone();
  }
  return bytes.subarray(at);
}
