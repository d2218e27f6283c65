import { bytesOrStop, pulledStream, streamOf } from '../body.js';
import { badRequest, ignore } from './failure.js';
import type { Liveness } from './liveness.js';

/** A streamed body while the transport reads it. It must have the length that the request promises. */
export class Upload {
  /** What the transport reads. */
  readonly stream: ReadableStream<Uint8Array>;
  /** What the producer of the body failed with, if it did. */
  failure: { readonly error: unknown } | null = null;
  readonly #source: ReadableStream<Uint8Array>;
  readonly #length: number | null;
  readonly #liveness: Liveness;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #sent = 0;
  #over = false;

  /** `length`: bytes that were promised, or null. */
  constructor(content: Uint8Array | ReadableStream<Uint8Array>, length: number | null, liveness: Liveness) {
    this.#source = streamOf(content);
    this.#length = length;
    this.#liveness = liveness;
    liveness.enter();
    this.stream = pulledStream({
      pull: (controller) => this.#pull(controller),
      cancel: (reason) => this.#cancel(reason),
    });
  }

  /** The request is over: a producer that goes on is told so. */
  end(reason: unknown): void {
    if (!this.#over) this.#cancel(reason).catch(ignore);
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      this.#reader ??= this.#source.getReader();
      const { done, value } = await this.#reader.read();
      if (this.#over) return;
      if (!done) {
        const bytes = bytesOrStop(value, (reason) => this.#cancel(reason));
        this.#sent += bytes.byteLength;
        this.#check(this.#length !== null && this.#sent > this.#length);
        controller.enqueue(bytes);
        return;
      }
      this.#check(this.#length !== null && this.#sent < this.#length);
      this.#finish();
      controller.close();
    } catch (error) {
      this.failure ??= { error };
      this.end(error);
      this.#finish();
      throw error;
    }
  }

  /** RFC 9114 §4.1.2: content-length must be the length of the content. */
  #check(differs: boolean): void {
    if (!differs) return;
    const relation = this.#sent > (this.#length ?? 0) ? 'more than' : `${this.#sent} instead of`;
    throw badRequest(`the body has ${relation} the ${this.#length} bytes that content-length promises`);
  }

  async #cancel(reason: unknown): Promise<void> {
    this.#finish();
    if (this.#reader === null) await this.#source.cancel(reason);
    else await this.#reader.cancel(reason);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#liveness.leave();
  }
}
