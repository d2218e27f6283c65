import type { H3DatagramContext } from './datagrams.js';
import type { H3Request, StreamingRequest } from './request.js';
import type { H3Server } from './server.js';
import type { WTContext } from './webtransport.js';

/** The parameters of a pattern: `"/users/:id/*"` gives `{ id: string; "*": string }`. */
export type RouteParams<Pattern extends string> = string extends Pattern
  ? Record<string, string>
  : { [Name in SegmentName<Pattern>]: string };

type SegmentName<Path extends string> = Path extends `${infer Head}/${infer Tail}`
  ? NameOf<Head> | SegmentName<Tail>
  : NameOf<Path>;
type NameOf<Segment extends string> = Segment extends `:${infer Name}`
  ? Name
  : Segment extends '*'
    ? '*'
    : never;

/** How the body of a request arrives: collected before the handler runs, or as it comes. */
export type BodyMode = 'buffered' | 'streaming';

/** Answers a request. */
export type Handler<Params = Record<string, string>> = (
  request: H3Request<Params>,
  server: H3Server,
) => Response | Promise<Response>;

/** Every key of a route, whatever its kind. */
interface RouteKeys<Pattern extends string> {
  /** A method, several, or `"*"` for any but CONNECT. GET also answers HEAD, without the body; other methods get 405. */
  method: string | readonly string[];
  /** A path such as `"/"`, `"/users/:id"` or `"/files/*"`. The most specific route wins, whatever the order. */
  pattern: Pattern;
  /**
   * How the body arrives: `"buffered"`, whole and at most `maxBodyBytes` long (more is answered 413), or `"streaming"`, as it
   * comes. Default: the `mode` of the server.
   */
  mode?: BodyMode | undefined;
  /**
   * Answers requests; `request.params` has the type of the pattern. What it throws goes to `error` of the server.
   * `request.signal` aborts when the client goes away.
   */
  fetch?(request: H3Request<RouteParams<Pattern>>, server: H3Server): Response | Promise<Response>;
  /**
   * Takes the HTTP datagrams of each request (RFC 9297), in the order in which they arrive, while the request is open. The
   * body then comes as a stream. Without `fetch`, the request is answered 200 at once and stays open until the client ends
   * its side. What it throws goes to the logger.
   *
   * With `protocol`, the content of the request and of its answer is capsules (RFC 9297 §3): datagrams may come in them too,
   * and go in them to a client that takes no QUIC datagrams. `fetch` then only decides; accepted with a 2xx that has no
   * content, the tunnel stays open until the client ends its side.
   */
  h3Datagram?(payload: Uint8Array, context: H3DatagramContext<RouteParams<Pattern>>): void | Promise<void>;
  /**
   * The `:protocol` of an extended CONNECT (RFC 9220); needs method CONNECT. What `fetch` reads from the request and writes
   * into the answer is then the data of a tunnel, both ways at the same time; the body is never buffered. Default: none.
   */
  protocol?: string | undefined;
  /**
   * Takes WebTransport sessions; needs method CONNECT. What it throws goes to the logger: a session that waits is refused
   * with 500, one that was accepted breaks off. That its session is over is no failure: such errors are not logged.
   */
  webtransport?(context: WTContext<RouteParams<Pattern>>): void | Promise<void>;
  /**
   * Whose pages may begin sessions: values of `origin`; those of others are refused with 403. Clients without an `origin` pass:
   * browsers always send one, and no page can leave it out. Default: all.
   */
  allowedOrigins?: readonly string[] | undefined;
}

/** A route that is not for extended CONNECT alone. */
interface PlainRoute<Pattern extends string> extends RouteKeys<Pattern> {
  protocol?: never;
  webtransport?: never;
  allowedOrigins?: never;
}

/** A route that answers requests with their whole body, unless the `mode` of the server says otherwise. */
export interface RequestRoute<Pattern extends string = string> extends PlainRoute<Pattern> {
  mode?: 'buffered' | undefined;
  fetch(request: H3Request<RouteParams<Pattern>>, server: H3Server): Response | Promise<Response>;
  h3Datagram?: never;
}

/** A route that answers requests whose body comes as a stream. */
export interface StreamingRoute<Pattern extends string = string> extends PlainRoute<Pattern> {
  mode: 'streaming';
  fetch(request: StreamingRequest<RouteParams<Pattern>>, server: H3Server): Response | Promise<Response>;
  h3Datagram?: never;
}

/** A route that takes the HTTP datagrams of its requests. */
export interface DatagramRoute<Pattern extends string = string> extends PlainRoute<Pattern> {
  mode?: 'streaming' | undefined;
  fetch?(request: StreamingRequest<RouteParams<Pattern>>, server: H3Server): Response | Promise<Response>;
  h3Datagram(payload: Uint8Array, context: H3DatagramContext<RouteParams<Pattern>>): void | Promise<void>;
}

/** A route that takes extended CONNECT requests with a protocol; it needs `fetch` or `h3Datagram`. */
export interface TunnelRoute<Pattern extends string = string> extends RouteKeys<Pattern> {
  /** `"CONNECT"`, by itself or as the only one of a list. */
  method: ConnectMethod;
  mode?: 'streaming' | undefined;
  protocol: string;
  fetch?(request: StreamingRequest<RouteParams<Pattern>>, server: H3Server): Response | Promise<Response>;
  webtransport?: never;
  allowedOrigins?: never;
}

/** A route that takes WebTransport sessions. */
export interface SessionRoute<Pattern extends string = string> extends RouteKeys<Pattern> {
  /** `"CONNECT"`, by itself or as the only one of a list. */
  method: ConnectMethod;
  mode?: never;
  webtransport(context: WTContext<RouteParams<Pattern>>): void | Promise<void>;
  fetch?: never;
  h3Datagram?: never;
  protocol?: never;
}

/** What begins sessions and tunnels (RFC 9220 §3). */
type ConnectMethod = 'CONNECT' | readonly ['CONNECT'];

/** One entry of `routes`, of one of five kinds. */
export type RouteDefinition<Pattern extends string = string> =
  | RequestRoute<Pattern>
  | StreamingRoute<Pattern>
  | DatagramRoute<Pattern>
  | TunnelRoute<Pattern>
  | SessionRoute<Pattern>;

/** A route definition for each pattern, so that every handler of a list gets the parameters of its own pattern. */
export type RouteDefinitions<Patterns extends readonly string[]> = {
  readonly [Index in keyof Patterns]: RouteDefinition<Patterns[Index]>;
};
