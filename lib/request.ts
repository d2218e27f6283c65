/** One request as the server hands it over, with everything still in the form that crossed the border. */
export interface IncomingParts {
  /** Case-sensitive (RFC 9110 §9.1). */
  readonly method: string;
  /** Absolute, scheme `https`, without user information. */
  readonly url: string;
  /**
   * `\0name:value\0name:value`, names lower-case, values latin1 byte strings; `""` if there are none. Several `cookie`
   * fields are already one (RFC 9114 §4.2.1).
   */
  readonly fields: string;
  /**
   * The whole content, a stream of it, or null if there is none. The request owns the bytes from now on, but their buffer may
   * hold those of others, too; the stream is not read before somebody reads the request.
   */
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  /** Decoded path parameters: made when first touched. */
  readonly params: Record<string, string>;
  /** Aborts when the client resets or vanishes: made when first touched. */
  readonly signal: AbortSignal;
  /** Resolves with the trailer fields at the end of the content; see {@link H3Request}. */
  readonly trailers: Promise<Headers>;
  /** It came in early data, before the handshake was complete. */
  readonly earlyData: boolean;
}

/** The key under which requests keep their parts. */
export const PARTS: unique symbol = Symbol('trilane.parts');

/** The parts that a request of this package was made from, or null for any other. */
export function partsOf(request: Request): IncomingParts | null {
  return (request as { [PARTS]?: IncomingParts })[PARTS] ?? null;
}

/** What handlers receive: a Request with the parameters of its route. */
export interface H3Request<Params = Record<string, string>> extends Request {
  /** Decoded path parameters, by the names in the route's pattern; `*` holds the rest of the path. */
  readonly params: Params;
  /** Aborts when the client resets the request or vanishes. */
  readonly signal: AbortSignal;
  /**
   * The trailer fields behind the content (RFC 9114 §4.1); empty if there were none. Where the body is streamed it settles
   * when somebody has read the body to its end, and rejects with what ended the body early: read the body first, then await
   * this. A rejection that nobody looks at is no unhandled one.
   */
  readonly trailers: Promise<Headers>;
  /**
   * The request came in early data and its handshake was not complete: it may be a replay (RFC 8470 §3). Never true without
   * option `earlyData`.
   */
  readonly earlyData: boolean;
}

/** A body that is read as it comes: the stream of the runtime's types; those of Node leave open what is in it. */
export type IncomingStream =
  NonNullable<Request['body']> extends ReadableStream<infer Chunk>
    ? 0 extends 1 & Chunk
      ? ReadableStream<Uint8Array>
      : NonNullable<Request['body']>
    : never;

/** What handlers of streaming routes and of tunnels receive. */
export interface StreamingRequest<Params = Record<string, string>> extends H3Request<Params> {
  /** The content as it comes, or null if there is none. */
  readonly body: IncomingStream | null;
}
