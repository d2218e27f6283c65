import { takesResponses } from '../runtime.js';
import { FetchedResponse, PROVENANCE, type Provenance } from './fetched-response.js';
import { lazyFetchedResponse } from './lazy-fetched-response.js';
import type { ResponseConnection, ResponseParts } from './transport.js';

export type { Provenance } from './fetched-response.js';

/**
 * What fetch gives: a Response of the runtime, with what HTTP/3 knows beside it. On Node, which itself takes no Responses, it is
 * one with all its members and for `instanceof`; only a method that is borrowed (`Response.prototype.text.call(response)`)
 * notices a difference.
 */
export interface H3Response extends Response {
  /** The connection that carried it. */
  readonly connection: ResponseConnection;
  /**
   * The trailer fields behind the body (RFC 9114 §4.1); empty if there were none. It settles when somebody has read the body
   * to its end, and rejects with what ended the body early: read the body first, then await this. A rejection that nobody
   * looks at is no unhandled one.
   */
  readonly trailers: Promise<Headers>;
}

/**
 * A Response for what came. Throws an {@link H3Error} for fields that no Headers can hold. Node looks at nothing but the members
 * of a Response, so there it is a lazy one: the real one costs 4 µs to make and 2 µs to read, CPU on Node 26.
 */
export function makeResponse(
  body: Uint8Array | ReadableStream<Uint8Array> | null,
  provenance: Provenance,
): H3Response {
  const response = takesResponses
    ? new FetchedResponse(body, provenance)
    : lazyFetchedResponse(body, provenance);
  return response as unknown as H3Response;
}

/**
 * Whether the body of a response of this client is as its `content-encoding` says: true if it is, false if that was undone,
 * null for a response of anybody else.
 */
export function isStillEncoded(response: object): boolean | null {
  const provenance = (response as { [PROVENANCE]?: Provenance })[PROVENANCE];
  return provenance === undefined ? null : !provenance.decoded;
}

/** What came over the border for a response of this client. */
export function partsOf(response: H3Response): ResponseParts {
  return (response as unknown as { [PROVENANCE]: Provenance })[PROVENANCE].parts;
}
