import type { Sender } from '../body-sender.js';
import { H3Error } from '../errors.js';
import type { PackedFields } from '../fields.js';
import { packHeaders, unpackHeaders } from '../headers.js';
import type { IncomingBody } from '../incoming-body.js';
import type { TrailersSource } from '../outgoing-trailers.js';
import { SendSide } from '../send-side.js';
import type { RequestOrder, ResponseParts } from './transport.js';

/** H3_REQUEST_CANCELLED (RFC 9114 §8.1). */
export const H3_REQUEST_CANCELLED = 0x10c;

/** One request of a client from its order to the end of its response and its body. */
export class OutgoingExchange extends SendSide implements Sender {
  /** With the generation, its name: there is none before it is handed over. */
  slot = 0;
  generation = 0;
  readonly order: RequestOrder;
  readonly failureCode = H3_REQUEST_CANCELLED;
  readonly outgoingTrailers: TrailersSource | null;
  readonly startedAt: number = performance.now();
  /** Settles with the response, or with why there is none. */
  readonly response: Promise<ResponseParts>;
  /** Parts of it that are still open; with the last it is over. */
  open = 1;
  /** The next in the list of its slot, see open-exchanges.ts. */
  sameSlot: OutgoingExchange | null = null;
  /** Called when all of it is over. */
  onOver: (() => void) | null = null;
  #resolve!: (parts: ResponseParts) => void;
  #reject!: (reason: unknown) => void;
  #body: IncomingBody | null = null;

  constructor(order: RequestOrder) {
    super();
    this.order = order;
    const { trailers } = order;
    this.outgoingTrailers =
      trailers === undefined ? null : async (): Promise<PackedFields> => packHeaders(await trailers());
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It was handed over. */
  named(slot: number, generation: number): void {
    this.slot = slot;
    this.generation = generation;
  }

  /** An interim answer came. */
  informed(status: number, fields: PackedFields): void {
    this.order.onInformational?.(status, unpackHeaders(fields));
  }

  /** Whether the response is here. */
  isAnswered = false;

  /** The response is here; `body`: what reads the rest of it. */
  answered(parts: ResponseParts, body: IncomingBody | null): void {
    this.isAnswered = true;
    this.#body = body;
    this.#resolve(parts);
  }

  /** There is no response, or no whole one, and nothing more is sent. */
  fail(reason: unknown): void {
    this.#reject(reason);
    this.#body?.decline(reason);
    this.stop(reason instanceof Error ? reason : new H3Error('ERR_H3_CLIENT_CLOSED', String(reason)));
  }

  /** No more of the body is sent; the response is still awaited. */
  stop(reason: Error): void {
    this.giveUp(reason);
  }
}
