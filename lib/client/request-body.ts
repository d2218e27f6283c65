import { isAsyncIterable, isStream } from '../body.js';
import { extractBody, type ResponseBody } from '../extract-body.js';
import { takeWithinTurn } from '../take-body.js';
import { badRequest } from './failure.js';

/** What a request can send: all that fetch takes, and asynchronous iterators of text or bytes. */
export type H3RequestBody = ResponseBody;

/** A body on its way out. */
export interface OpenedBody {
  readonly content: Uint8Array | ReadableStream<Uint8Array>;
  /** The content type that comes with it, `""` if none does. */
  readonly type: string;
  /** Bytes, or null if only the end tells. */
  readonly length: number | null;
}

type Open = () => OpenedBody | Promise<OpenedBody>;

/** A Blob up to this size is read in one step; a larger one, such as a file, is streamed. */
const BLOB_IN_ONE_STEP_BYTES = 256 * 1024;

const encoder = new TextEncoder();

/** The body of a request, with its source (Fetch §2.2.4): what is no stream can be sent again after a redirect. */
export class RequestBody {
  /** The body, if it is bytes that are here. */
  readonly whole: OpenedBody | null;
  #open: Open;
  #use: 'repeatable' | 'once' | 'spent';

  private constructor(open: Open, use: 'repeatable' | 'once', whole: OpenedBody | null = null) {
    this.whole = whole;
    this.#open = open;
    this.#use = use;
  }

  /** "Extract a body" (Fetch §5.2) of what `init.body` can be, null excepted. Throws a TypeError if it is in use. */
  static from(given: Exclude<H3RequestBody, null | undefined>): RequestBody {
    if (typeof given === 'string')
      return RequestBody.#whole(encoder.encode(given), 'text/plain;charset=UTF-8');
    if (isStream(given)) return RequestBody.#once(unused(given));
    if (given instanceof FormData) return new RequestBody(() => openForm(given), 'repeatable');
    const { body, type } = extractBody(given);
    if (body instanceof Blob) return new RequestBody(() => openBlob(body), 'repeatable');
    if (isStream(body)) return RequestBody.#once(body);
    return RequestBody.#whole(typeof body === 'string' ? encoder.encode(body) : (body as Uint8Array), type);
  }

  /** The body of a Request. What is all there within a turn counts as whole: a Request does not say what it was made of. */
  static ofRequest(stream: ReadableStream<Uint8Array>): RequestBody {
    unused(stream);
    return new RequestBody(async () => opened(await takeWithinTurn(stream)), 'once');
  }

  static #whole(content: Uint8Array, type: string): RequestBody {
    const body = opened(content, type);
    return new RequestBody(() => body, 'repeatable', body);
  }

  static #once(stream: ReadableStream<Uint8Array>): RequestBody {
    return new RequestBody(() => opened(stream), 'once');
  }

  /** Whether `given` is read while it is sent: then init must say `duplex`. */
  static isStreamed(given: unknown): boolean {
    return isStream(given) || isAsyncIterable(given);
  }

  /** Whether {@link open} may be called. */
  get sendable(): boolean {
    return this.#use !== 'spent';
  }

  /** The body, to be sent once. Rejects with a TypeError if it was a stream that was opened before. */
  async open(): Promise<OpenedBody> {
    if (this.#use === 'spent')
      throw badRequest('the body of the request is a stream: it cannot be sent twice');
    if (this.#use === 'once') this.#use = 'spent';
    const body = await this.#open();
    if (this.#use === 'spent' && body.content instanceof Uint8Array) {
      this.#open = () => body;
      this.#use = 'repeatable';
    }
    return body;
  }

  /** It will not be sent: a stream is told so. */
  async cancel(reason: unknown): Promise<void> {
    if (this.#use !== 'once') return;
    const { content } = await this.open();
    if (isStream(content)) await content.cancel(reason);
  }
}

function opened(content: Uint8Array | ReadableStream<Uint8Array>, type = ''): OpenedBody {
  return { content, type, length: content instanceof Uint8Array ? content.byteLength : null };
}

async function openBlob(blob: Blob): Promise<OpenedBody> {
  const { size, type } = blob;
  if (size <= BLOB_IN_ONE_STEP_BYTES) return opened(new Uint8Array(await blob.arrayBuffer()), type);
  // A file of Bun may have no size yet.
  const length = Number.isSafeInteger(size) ? size : null;
  return { content: blob.stream() as ReadableStream<Uint8Array>, type, length };
}

/** Each time encoded anew, with a boundary of its own. */
async function openForm(form: FormData): Promise<OpenedBody> {
  const { body, type } = extractBody(form);
  return opened(await takeWithinTurn(body as ReadableStream<Uint8Array>), type);
}

/** `stream`, if nobody reads it. */
function unused(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (!stream.locked) return stream;
  throw badRequest('the body of the request is locked by a reader: pass it unread');
}
