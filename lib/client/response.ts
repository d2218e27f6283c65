import { H3Error } from '../errors.js';
import type { FieldPair, ResponseConnection, ResponseParts } from './transport.js';

/** What fetch gives: a Response of the runtime, with what HTTP/3 knows beside it. */
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

/** What a response knows that the runtime's constructor does not take. */
interface Provenance {
  readonly parts: ResponseParts;
  /** Without fragment. */
  readonly url: string;
  readonly redirected: boolean;
  /** Content codings were undone, whatever the headers say. */
  readonly decoded: boolean;
}

const PROVENANCE = Symbol('trilane.provenance');

/** The greatest status that the runtime's constructor takes. */
const GREATEST_STATUS = 599;

/** Members of the runtime's Response that are overridden here: Node's types declare them as fields. */
interface ResponseMembers {
  readonly headers: Headers;
  clone(): Response;
}

const PlatformResponse = Response as unknown as new (
  body: ConstructorParameters<typeof Response>[0],
  init: ResponseInit,
) => ResponseMembers;

/** The runtime's Response with getters on its prototype; nothing is defined per object. */
class FetchedResponse extends PlatformResponse {
  readonly [PROVENANCE]: Provenance;

  constructor(body: Uint8Array | ReadableStream<Uint8Array> | null, provenance: Provenance) {
    super(body, { status: Math.min(provenance.parts.status, GREATEST_STATUS) });
    this[PROVENANCE] = provenance;
    appendPairs(this.headers, provenance.parts.fields);
  }

  /** RFC 9110 §15: three digits, of which fetch lets programs construct fewer than servers may send. */
  get status(): number {
    // Node 20 looks at it while it constructs.
    return (this[PROVENANCE] as Provenance | undefined)?.parts.status ?? 200;
  }

  get type(): 'basic' {
    return 'basic';
  }

  get url(): string {
    return this[PROVENANCE].url;
  }

  get redirected(): boolean {
    return this[PROVENANCE].redirected;
  }

  get connection(): ResponseConnection {
    return this[PROVENANCE].parts.connection;
  }

  get trailers(): Promise<Headers> {
    return this[PROVENANCE].parts.trailers;
  }

  override clone(): Response {
    const copy = Object.setPrototypeOf(super.clone(), FetchedResponse.prototype) as Response;
    return Object.assign(copy, { [PROVENANCE]: this[PROVENANCE] });
  }
}

/** A Response for what came. Throws an {@link H3Error} for fields that no Headers can hold. */
export function makeResponse(
  body: Uint8Array | ReadableStream<Uint8Array> | null,
  provenance: Provenance,
): H3Response {
  return new FetchedResponse(body, provenance) as unknown as H3Response;
}

/**
 * Whether the body of a response of this client is as its `content-encoding` says: true if it is, false if that was undone,
 * null for a response of anybody else.
 */
export function isStillEncoded(response: object): boolean | null {
  const provenance = (response as { [PROVENANCE]?: Provenance })[PROVENANCE];
  return provenance === undefined ? null : !provenance.decoded;
}

/** Headers of an interim answer or a response. Throws an {@link H3Error} for what no Headers can hold. */
function appendPairs(headers: Headers, fields: readonly FieldPair[]): void {
  try {
    for (const [name, value] of fields) headers.append(name, value);
  } catch (cause) {
    throw new H3Error('ERR_H3_PROTOCOL', 'the response has a header field that cannot be one', {
      remote: true,
      cause,
    });
  }
}
