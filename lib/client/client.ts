import { H3Error } from '../errors.js';
import { checkText } from '../option-check.js';
import { AcceptedRequests } from './accepted-requests.js';
import { type FetchHost, fetchOver } from './fetch.js';
import { Liveness } from './liveness.js';
import { openNativeTransport } from './native-transport.js';
import { type H3ClientOptions, type ValidatedClientOptions, validateClientOptions } from './options.js';
import { type H3RequestInit, type H3RequestInput, readRequest } from './outgoing-request.js';
import { IncomingDatagrams, type RequestDatagrams } from './request-datagrams.js';
import { type H3Response, partsOf } from './response.js';
import type { ClientTransport, H3ClientStats, OpenTransport } from './transport.js';

/** What carries the requests of `client`: for what this package builds on clients. */
export let hostOf: (client: H3Client) => FetchHost;

/** What `H3Client.request` takes beside the members of fetch's init. */
export interface H3TunnelInit extends H3RequestInit {
  /** Makes it an extended CONNECT with this `:protocol` (RFC 9220), such as `"connect-udp"`. Default: none. */
  protocol?: string;
}

/** A request with datagrams beside its content. */
export interface H3Exchange {
  /** There as soon as its head is; the body comes as it is read. */
  readonly response: H3Response;
  /** The HTTP datagrams of the request (RFC 9297), both ways. */
  readonly datagrams: RequestDatagrams;
}

/**
 * An HTTP/3 client with connections of its own, one pool for each origin. It keeps the process alive only while somebody
 * waits for it; see {@link unref}.
 *
 * @example
 * const server = createH3Server({ fetch: () => new Response('hello') });
 * await using client = new H3Client({ serverCertificateHashes: [server.certificateHash] });
 * const response = await client.fetch(server.url);
 * console.log(await response.text());
 */
export class H3Client {
  readonly #options: ValidatedClientOptions;
  readonly #transport: ClientTransport;
  readonly #liveness = new Liveness();
  readonly #accepted = new AcceptedRequests();
  readonly #host: FetchHost;

  static {
    hostOf = (client) => client.#host;
  }

  #settleClosed!: () => void;

  /** Resolves when the client is closed or destroyed, and its connections are gone. */
  readonly closed: Promise<void>;

  /**
   * Checks the options; nothing is dialled before the first request. Throws a TypeError or RangeError for an option that
   * cannot be used. `open` makes what carries the requests; default: the connections of this package.
   */
  constructor(options: H3ClientOptions = {}, open: OpenTransport = openNativeTransport) {
    this.#options = validateClientOptions(options);
    this.#transport = open(this.#options);
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    this.#host = {
      transport: this.#transport,
      options: this.#options,
      liveness: this.#liveness,
      accepted: this.#accepted,
    };
  }

  /**
   * fetch over HTTP/3. Resolves when the head of the response is here. Rejects with a TypeError if the request cannot be one;
   * with the reason of `signal` when that aborts; and with a TypeError `fetch failed` whose `cause` is an {@link H3Error} if
   * the network fails. It needs no `this`.
   *
   * @example
   * const server = createH3Server({ fetch: () => new Response('hello') });
   * const { fetch } = new H3Client({ serverCertificateHashes: [server.certificateHash] });
   * const response = await fetch(server.url, { signal: AbortSignal.timeout(10_000) });
   * console.log(response.status, await response.text(), await response.trailers);
   */
  readonly fetch = (input: H3RequestInput, init?: H3RequestInit): Promise<H3Response> => {
    try {
      return fetchOver(this.#host, readRequest(input, init, null));
    } catch (error) {
      return Promise.reject(error);
    }
  };

  /**
   * Like {@link fetch}, with the HTTP datagrams of the request (RFC 9297). With `protocol` it is an extended CONNECT, whose
   * response begins a tunnel: its body is what the server sends, the body of the request what the client sends.
   */
  async request(input: H3RequestInput, init: H3TunnelInit = {}): Promise<H3Exchange> {
    const { protocol } = init;
    const checked =
      protocol === undefined ? null : checkText(protocol, 'protocol', 'a token such as "connect-udp"');
    const incoming = new IncomingDatagrams(this.#liveness);
    const response = await fetchOver(this.#host, readRequest(input, init, checked), incoming.add);
    return { response, datagrams: incoming.with(partsOf(response)) };
  }

  /** The counters now. */
  getStats(): H3ClientStats {
    return this.#transport.stats;
  }

  /**
   * Takes no new requests; resolves when those that were begun are over, their bodies included, and every connection is
   * closed. One whose connection is still being made, or that is redirected, goes on; {@link destroy} ends it. Idempotent.
   */
  async close(): Promise<void> {
    if (this.#accepted.refusal === null) {
      this.#accepted.refuse(closedError());
      this.#liveness.enter();
      try {
        await this.#accepted.none();
        await this.#transport.close();
      } finally {
        this.#liveness.leave();
        this.#settleClosed();
      }
    }
    await this.closed;
  }

  /** Ends every request with ERR_H3_CLIENT_CLOSED, `reason` as its cause, and drops every connection at once. Idempotent. */
  destroy(reason?: unknown): void {
    const closed = closedError(reason);
    this.#accepted.refuse(closed);
    this.#liveness.enter();
    const gone = (): void => {
      this.#liveness.leave();
      this.#settleClosed();
    };
    this.#transport.destroy(closed).then(gone, gone);
  }

  /** Closes gracefully: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Waiting for the network keeps the process alive. This is the default. */
  ref(): this {
    this.#liveness.ref();
    return this;
  }

  /** Waiting for the network no longer keeps the process alive. */
  unref(): this {
    this.#liveness.unref();
    return this;
  }
}

let standard: H3Client | null = null;

/**
 * fetch over HTTP/3, with a client of default options that all calls share: the system's authorities are trusted. What it
 * takes, gives and rejects with is that of `H3Client.fetch`.
 *
 * @example
 * try {
 *   const response = await h3fetch('https://localhost:4433/');
 *   console.log(response.status, await response.text());
 * } catch (error) {
 *   // An H3Error says why: nobody listens there, or the certificate is of an unknown authority.
 *   console.error(error instanceof TypeError ? error.cause : error);
 * }
 */
export async function h3fetch(input: H3RequestInput, init?: H3RequestInit): Promise<H3Response> {
  standard ??= new H3Client();
  return standard.fetch(input, init);
}

function closedError(cause?: unknown): H3Error {
  const message = 'the client is closed: make a new H3Client';
  return new H3Error('ERR_H3_CLIENT_CLOSED', message, cause === undefined ? {} : { cause });
}
