import { checkDatagram } from '../datagrams.js';
import { IncomingQueue } from '../incoming-queue.js';
import type { Liveness } from './liveness.js';
import { deliver } from './response-body.js';
import type { ResponseParts } from './transport.js';

/** Datagrams that wait to be read, before the oldest are dropped: as many as a WebTransport session keeps. */
const INCOMING_HIGH_WATER_MARK = 1024;

/** The HTTP datagrams of one request (RFC 9297). Nothing tells whether one arrives. */
export interface RequestDatagrams {
  /** What the server sends; at most 1,024 wait, then the oldest are dropped. Ends with the response. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Sends each chunk as a datagram; one that cannot be sent is dropped. */
  readonly writable: WritableStream<Uint8Array>;
  /** The most bytes that a datagram can have now; it changes with the path. 0 if the server takes none. */
  readonly maxDatagramSize: number;
  /** Queues a datagram, copied before this returns; false if it was not, because it is too large or the request is over. */
  send(data: Uint8Array): boolean;
}

/** The incoming side, which exists before the response does. */
export class IncomingDatagrams {
  readonly #queue = new IncomingQueue<Uint8Array>({ most: INCOMING_HIGH_WATER_MARK });
  readonly #liveness: Liveness;

  constructor(liveness: Liveness) {
    this.#liveness = liveness;
  }

  /** A datagram came. */
  readonly add = (payload: Uint8Array): void => {
    this.#queue.add(payload);
  };

  /** Both sides, now that there is a response. */
  with(parts: ResponseParts): RequestDatagrams {
    const send = (data: Uint8Array): boolean => {
      checkDatagram(data);
      return parts.sendDatagram?.(data) ?? false;
    };
    parts.trailers.then(
      () => this.#queue.close(),
      (error: unknown) => this.#queue.fail(error),
    );
    // A body that nobody reads tells nothing.
    parts.onLost?.((reason) => this.#queue.fail(reason));
    return {
      readable: deliver(this.#queue.readable, null, this.#liveness),
      writable: new WritableStream<Uint8Array>({
        write(chunk) {
          send(chunk);
        },
      }),
      get maxDatagramSize() {
        return parts.maxDatagramSize?.() ?? 0;
      },
      send,
    };
  }
}
