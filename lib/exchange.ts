import { noContent } from './body.js';
import type { ExchangeDatagrams } from './datagrams.js';
import type { RequestHandlers } from './dispatcher.js';
import { H3Error } from './errors.js';
import type { PackedFields } from './fields.js';
import { unpackHeaders } from './headers.js';
import type { IncomingBody } from './incoming-body.js';
import type { TrailersSource } from './outgoing-trailers.js';
import type { H3Request, IncomingParts } from './request.js';
import type { Route } from './routes.js';
import { SendSide } from './send-side.js';
import type { Session } from './session.js';

/** HTTP/3 code of a request that the client no longer wants (RFC 9114 §8.1). */
const H3_REQUEST_CANCELLED = 0x10c;

/** One request and its answer, on this side of the border. */
export class Exchange extends SendSide<H3Error> implements IncomingParts {
  /** Whose exchange it is: slot and generation are names in that server alone. */
  readonly owner: object;
  readonly slot: number;
  readonly generation: number;
  readonly method: string;
  readonly url: string;
  readonly fields: string;
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  readonly route: Route | null;
  readonly earlyData: boolean;
  /** Start and end in `url` of each parameter, in the order of the route's names. */
  readonly #spans: Uint32Array | null;
  /** What is streamed of it, or the trailers of a body that is whole. */
  readonly #incoming: IncomingBody | PackedFields;
  #trailersPromise: Promise<Headers> | null = null;
  #params: Record<string, string> | null = null;
  #controller: AbortController | null = null;
  /** The answer under way comes from the error handler. */
  failed = false;
  /** It was answered whole, or ended in another way: nothing more can be sent. */
  over = false;
  /** The next in the list of its slot, see open-exchanges.ts. */
  sameSlot: Exchange | null = null;
  /** Its datagrams, if its route takes them. */
  datagrams: ExchangeDatagrams | null = null;
  /** The client's side of a tunnel whose content is capsules: reading it hands over the datagrams in it, and yields nothing. */
  tunnel: ReadableStream<Uint8Array> | null;
  /** The WebTransport session that it is, if it is one. */
  session: Session | null = null;
  /** Who answers it, whatever is reloaded meanwhile; null: whoever does now. */
  handlers: RequestHandlers | null = null;
  /** The final answer is on its way: it is too late for interim ones. */
  answered = false;
  /** The status that was answered. */
  status: number | null = null;
  /** Its request, while somebody watches how it ends. */
  watched: H3Request | null = null;
  /** The trailers of the answer under way. */
  outgoingTrailers: TrailersSource | null = null;
  /** H3_INTERNAL_ERROR (RFC 9114 §8.1). */
  readonly failureCode = 0x102;

  constructor(
    owner: object,
    slot: number,
    generation: number,
    method: string,
    url: string,
    fields: string,
    body: Uint8Array | null,
    route: Route | null,
    spans: Uint32Array | null,
    incoming: IncomingBody | PackedFields,
    earlyData = false,
  ) {
    super();
    this.owner = owner;
    this.slot = slot;
    this.generation = generation;
    this.method = method;
    this.url = url;
    this.fields = fields;
    const content = typeof incoming === 'string' ? body : incoming.stream;
    // RFC 9297 §3.1: capsules, which are not for the handler of the request.
    const isTunnel = route !== null && route.h3Datagram !== null && route.protocol !== undefined;
    this.tunnel = isTunnel ? (content instanceof ReadableStream ? content : noContent()) : null;
    this.body = isTunnel ? null : content;
    this.route = route;
    this.#spans = spans;
    this.#incoming = incoming;
    this.earlyData = earlyData;
  }

  get params(): Record<string, string> {
    this.#params ??= this.#decodeParams();
    return this.#params;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.gone !== null) this.#controller.abort(this.gone);
    }
    return this.#controller.signal;
  }

  get trailers(): Promise<Headers> {
    const incoming = this.#incoming;
    if (typeof incoming !== 'string') return incoming.trailers.promise;
    this.#trailersPromise ??= Promise.resolve(unpackHeaders(incoming));
    return this.#trailersPromise;
  }

  /** It is over: the answer is complete, or there will be none. */
  end(): void {
    this.over = true;
    if (typeof this.#incoming !== 'string') this.#incoming.answered(() => this.gone ?? unread());
  }

  /** The handler failed: it does not read on. */
  declineBody(): void {
    if (typeof this.#incoming !== 'string') this.#incoming.decline();
  }

  /** The client reset the request or vanished. */
  abort(wireCode: number | null): void {
    this.giveUp(
      () => goneError(wireCode),
      () => this.#controller?.abort(this.gone),
    );
  }

  /** Its answer was refused before anything was sent: the producer of its body stops, another answer follows. */
  supersede(reason: H3Error): void {
    this.giveUp(reason);
  }

  /** The parameter `name` as it is in the URL, not decoded; null if the route has none. */
  rawParam(name: string): string | null {
    const index = this.route?.paramNames.indexOf(name) ?? -1;
    if (index === -1 || this.#spans === null) return null;
    return this.url.slice(this.#spans[2 * index], this.#spans[2 * index + 1]);
  }

  #decodeParams(): Record<string, string> {
    const params: Record<string, string> = {};
    const spans = this.#spans;
    if (this.route === null || spans === null) return params;
    this.route.paramNames.forEach((name, index) => {
      const raw = this.url.slice(spans[2 * index], spans[2 * index + 1]);
      params[name] = raw.includes('%') ? decodeParam(raw) : raw;
    });
    return params;
  }
}

/** Percent-decoded, or as it came if it is not valid UTF-8: a handler must see something. */
function decodeParam(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}

function unread(): H3Error {
  return new H3Error(
    'ERR_H3_STREAM_RESET',
    'the request was answered without its body being read: no trailers',
  );
}

function goneError(wireCode: number | null): H3Error {
  if (wireCode === null) {
    return new H3Error('ERR_H3_CONNECTION_CLOSED', 'the connection of the client is gone', { remote: true });
  }
  const cancelled = wireCode === H3_REQUEST_CANCELLED ? ' (H3_REQUEST_CANCELLED)' : '';
  const message = `the client gave the request up with code 0x${wireCode.toString(16)}${cancelled}`;
  return new H3Error('ERR_H3_STREAM_RESET', message, { remote: true, wireCode });
}
