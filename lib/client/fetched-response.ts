import { H3Error } from '../errors.js';
import type { PackedFields } from '../fields.js';
import { appendFields } from '../headers.js';
import type { ResponseConnection, ResponseParts } from './transport.js';

/** What a response knows that the runtime's constructor does not take. */
export interface Provenance {
  readonly parts: ResponseParts;
  /** Without fragment. */
  readonly url: string;
  readonly redirected: boolean;
  /** Content codings were undone, whatever the headers say. */
  readonly decoded: boolean;
}

/** Where a response keeps it. */
export const PROVENANCE = Symbol('trilane.provenance');

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
export class FetchedResponse extends PlatformResponse {
  readonly [PROVENANCE]: Provenance;

  /** Throws an {@link H3Error} for fields that no Headers can hold. */
  constructor(body: Uint8Array | ReadableStream<Uint8Array> | null, provenance: Provenance) {
    super(body, { status: Math.min(provenance.parts.status, GREATEST_STATUS) });
    this[PROVENANCE] = provenance;
    append(this.headers, provenance.parts.fields);
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

function append(headers: Headers, fields: PackedFields): void {
  try {
    appendFields(headers, fields);
  } catch (cause) {
    throw new H3Error('ERR_H3_PROTOCOL', 'the response has a header field that cannot be one', {
      remote: true,
      cause,
    });
  }
}
