import { isStream, streamOf } from '../body.js';
import { H3Error } from '../errors.js';
import { unpackHeaders } from '../headers.js';
import { decode, readCodings } from './content-coding.js';
import { fetchFailed, ignore } from './failure.js';
import { checkIntegrity, readIntegrity } from './integrity.js';
import type { Liveness } from './liveness.js';
import type { ValidatedClientOptions } from './options.js';
import type { OutgoingRequest } from './outgoing-request.js';
import { type RedirectedRequest, redirected, redirectLocation } from './redirect.js';
import type { OpenedBody, RequestBody } from './request-body.js';
import { requestFields } from './request-fields.js';
import { type H3Response, makeResponse } from './response.js';
import { deliver } from './response-body.js';
import type { RequestOrder, ResponseParts, Transport } from './transport.js';
import { Upload } from './upload.js';

/** What a request needs of its client. */
export interface FetchHost {
  readonly transport: Transport;
  readonly options: ValidatedClientOptions;
  readonly liveness: Liveness;
  /** Set once the client takes no more requests. */
  readonly closed: H3Error | null;
}

/** A response, and what came over the border for it. */
export interface Fetched {
  readonly response: H3Response;
  readonly parts: ResponseParts;
}

type Hop = RedirectedRequest<RequestBody>;

/** Statuses whose responses have no body (Fetch §2.2.3, "null body status"). */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);
/** Methods without effect, which a server may see twice (RFC 9110 §9.2.1, RFC 8470 §3). */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** RFC 8470 §5.2. */
const TOO_EARLY = 425;

/**
 * Sends a request and follows its redirects: main fetch, HTTP fetch and HTTP-network fetch of the Fetch standard (§4.1, §4.3,
 * §4.7), without cache, CORS and cookies. Rejects with the reason of the signal if that aborts, and with a TypeError whose
 * `cause` is an {@link H3Error} if the network fails.
 */
export async function fetchOver(
  host: FetchHost,
  request: OutgoingRequest,
  onDatagram?: (payload: Uint8Array) => void,
): Promise<Fetched> {
  try {
    return await follow(host, request, onDatagram);
  } catch (error) {
    request.body?.cancel(error).catch(ignore);
    if (request.signal?.aborted === true) throw request.signal.reason;
    throw error instanceof TypeError ? error : fetchFailed(error);
  }
}

async function follow(
  host: FetchHost,
  request: OutgoingRequest,
  onDatagram: ((payload: Uint8Array) => void) | undefined,
): Promise<Fetched> {
  let hop: Hop = request;
  for (let redirects = 0; ; redirects++) {
    const parts = await sendHop(host, request, hop, onDatagram);
    try {
      const location = request.redirect === 'manual' ? null : redirectLocation(parts, hop.url);
      if (location === null) {
        return { parts, response: await readResponse(host, request, hop, parts, redirects > 0) };
      }
      checkRedirect(host, request, redirects, location);
      hop = redirected(hop, parts.status, location);
    } catch (error) {
      discard(parts, error);
      throw error;
    }
    discard(parts, undefined);
  }
}

function checkRedirect(host: FetchHost, request: OutgoingRequest, redirects: number, location: URL): void {
  if (request.redirect === 'error') {
    throw new H3Error('ERR_H3_CLIENT_REDIRECT_REFUSED', `the server redirects to ${location.href}`, {
      remote: true,
    });
  }
  const { maxRedirects } = host.options;
  if (redirects < maxRedirects) return;
  throw new H3Error(
    'ERR_H3_CLIENT_REDIRECT_LIMIT',
    `more than ${maxRedirects} redirects; the last one leads to ${location.href}`,
    { remote: true },
  );
}

/** One request and its response. One that came too early is sent again, after the handshake (RFC 8470 §5.2). */
async function sendHop(
  host: FetchHost,
  request: OutgoingRequest,
  hop: Hop,
  onDatagram: ((payload: Uint8Array) => void) | undefined,
): Promise<ResponseParts> {
  if (hop.url.protocol !== 'https:') {
    const message = `the URL begins with ${hop.url.protocol} and HTTP/3 is https only`;
    throw new H3Error('ERR_H3_CLIENT_SCHEME', message);
  }
  const body = hop.body === null ? null : await hop.body.open();
  const early =
    host.options.earlyData === 'safe-methods' &&
    request.mayBeEarly &&
    body === null &&
    SAFE_METHODS.has(hop.method);
  const order: RequestOrder = {
    method: hop.method,
    url: hop.url,
    fields: requestFields(hop.fields, {
      method: hop.method,
      body,
      tunnel: request.protocol !== null,
      options: host.options,
    }),
    body: null,
    signal: request.signal,
    ...(request.protocol !== null && { protocol: request.protocol }),
    ...(early && { earlyData: true }),
    ...(request.onInformational !== null && { onInformational: quietly(request.onInformational) }),
    ...(onDatagram !== undefined && { onDatagram }),
  };
  if (body !== null) return sendBody(host, request, order, body);
  const parts = await send(host, order);
  if (parts.status !== TOO_EARLY || !early) return parts;
  discard(parts, undefined);
  return send(host, { ...order, earlyData: false });
}

/** A body that is whole goes as it is, unless trailers follow it. */
async function sendBody(
  host: FetchHost,
  request: OutgoingRequest,
  order: RequestOrder,
  { content }: OpenedBody,
): Promise<ResponseParts> {
  const { trailers } = request;
  if (content instanceof Uint8Array && trailers === null) return send(host, { ...order, body: content });
  const promised = order.fields.find(([name]) => name === 'content-length');
  const upload = new Upload(content, promised === undefined ? null : Number(promised[1]), host.liveness);
  try {
    return await send(host, {
      ...order,
      body: upload.stream,
      ...(trailers !== null && { trailers: async () => unpackHeaders(await trailers()) }),
    });
  } catch (error) {
    upload.end(error);
    // As fetch has it: the program's own error is the cause.
    throw upload.failure === null ? error : fetchFailed(upload.failure.error);
  }
}

/** Sends, until the signal aborts. A response that comes after that is dropped. */
async function send(host: FetchHost, order: RequestOrder): Promise<ResponseParts> {
  const { signal } = order;
  if (host.closed !== null) throw host.closed;
  signal?.throwIfAborted();
  host.liveness.enter();
  try {
    const sent = host.transport.send(order);
    return signal === null ? await sent : await untilAborted(sent, signal);
  } finally {
    host.liveness.leave();
  }
}

function untilAborted(sent: Promise<ResponseParts>, signal: AbortSignal): Promise<ResponseParts> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason);
      sent.then((parts) => discard(parts, signal.reason), ignore);
    };
    const settle = (): void => signal.removeEventListener('abort', onAbort);
    signal.addEventListener('abort', onAbort, { once: true });
    sent.finally(settle).then(resolve, reject);
  });
}

/** The Response of the last hop, once its body may be looked at (Fetch §4.1 steps 14 to 19). */
async function readResponse(
  host: FetchHost,
  request: OutgoingRequest,
  { method, url }: Hop,
  parts: ResponseParts,
  redirected: boolean,
): Promise<H3Response> {
  const { signal } = request;
  const provenance = { parts, redirected, url: withoutFragment(url), decoded: false };
  if (parts.body === null || method === 'HEAD' || NULL_BODY_STATUSES.has(parts.status)) {
    discard(parts, undefined);
    if (readIntegrity(request.integrity).length === 0) return makeResponse(null, provenance);
    throw new H3Error('ERR_H3_CLIENT_INTEGRITY', 'the response has no content that integrity could name', {
      remote: true,
    });
  }
  const codings =
    host.options.decompress && request.protocol === null
      ? readCodings(fieldOf(parts, 'content-encoding'))
      : null;
  let body: Uint8Array | ReadableStream<Uint8Array> = parts.body;
  if (codings !== null) body = decode(streamOf(body), codings);
  const hashes = readIntegrity(request.integrity);
  if (hashes.length > 0) {
    body = await collect(streamOf(body), host, signal);
    checkIntegrity(body, hashes);
  }
  // Whole content without a signal cannot fail any more.
  if (!(body instanceof Uint8Array) || signal !== null) body = deliver(streamOf(body), signal, host.liveness);
  return makeResponse(body, { ...provenance, decoded: codings !== null });
}

/** The whole content, in memory. Rejects with what ended it early. */
async function collect(
  content: ReadableStream<Uint8Array>,
  host: FetchHost,
  signal: AbortSignal | null,
): Promise<Uint8Array> {
  try {
    const whole = new Response(deliver(content, signal, host.liveness));
    return new Uint8Array(await whole.arrayBuffer());
  } catch (error) {
    throw error instanceof TypeError && error.cause !== undefined ? error.cause : error;
  }
}

/** Nobody wants the rest of `parts`. */
function discard({ body }: ResponseParts, reason: unknown): void {
  if (isStream(body)) body.cancel(reason).catch(ignore);
}

/** The value of a field, several joined with ", " (Fetch §2.2.2, "get"), or null. */
function fieldOf(parts: ResponseParts, name: string): string | null {
  const values = parts.fields.filter(([other]) => other === name).map(([, value]) => value);
  return values.length === 0 ? null : values.join(', ');
}

function withoutFragment(url: URL): string {
  const { href } = url;
  const start = href.indexOf('#');
  return start === -1 ? href : href.slice(0, start);
}

/** What a listener throws concerns nobody here. */
function quietly(
  listener: NonNullable<OutgoingRequest['onInformational']>,
): NonNullable<OutgoingRequest['onInformational']> {
  return (status, headers) => {
    try {
      listener(status, headers);
    } catch {
      // The response goes on.
    }
  };
}
