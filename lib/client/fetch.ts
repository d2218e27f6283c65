import { isStream, streamOf } from '../body.js';
import { H3Error } from '../errors.js';
import { findField } from '../fields.js';
import { unpackHeaders } from '../headers.js';
import type { AcceptedRequests } from './accepted-requests.js';
import { decode, readCodings } from './content-coding.js';
import { fetchFailed, ignore } from './failure.js';
import { checkIntegrity, readIntegrity } from './integrity.js';
import type { Liveness } from './liveness.js';
import type { ValidatedClientOptions } from './options.js';
import type { OutgoingRequest } from './outgoing-request.js';
import { isRedirect, type RedirectedRequest, redirected, redirectLocation } from './redirect.js';
import type { OpenedBody, RequestBody } from './request-body.js';
import { requestFields } from './request-fields.js';
import { type H3Response, makeResponse, type Provenance } from './response.js';
import { deliver } from './response-body.js';
import type { RequestOrder, ResponseParts, Transport } from './transport.js';
import { Upload } from './upload.js';

/** What a request needs of its client. */
export interface FetchHost {
  readonly transport: Transport;
  readonly options: ValidatedClientOptions;
  readonly liveness: Liveness;
  readonly accepted: AcceptedRequests;
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
export function fetchOver(
  host: FetchHost,
  request: OutgoingRequest,
  onDatagram?: (payload: Uint8Array) => void,
): Promise<H3Response> {
  const { accepted } = host;
  if (accepted.refusal !== null) return refuse(request, accepted.refusal);
  accepted.enter();
  return onDatagram === undefined && isDirect(request)
    ? fetchDirectly(host, request)
    : fetchInSteps(host, request, onDatagram);
}

async function refuse({ body, signal }: OutgoingRequest, reason: H3Error): Promise<never> {
  body?.cancel(reason).catch(ignore);
  throw signal?.aborted === true ? signal.reason : fetchFailed(reason);
}

/** Whether nothing can happen between a request and its response: no signal, and a body that is here. */
function isDirect({ body, signal, trailers }: OutgoingRequest): boolean {
  return signal === null && trailers === null && (body === null || body.whole !== null);
}

/** With one promise between the request and its Response: each more costs as much as a small request's headers. */
function fetchDirectly(host: FetchHost, request: OutgoingRequest): Promise<H3Response> {
  let sent: Promise<ResponseParts>;
  try {
    const order = orderOf(host, request, request, request.body?.whole ?? null, undefined);
    sent = host.transport.send(order);
  } catch (error) {
    sent = Promise.reject(error);
  }
  host.liveness.enter();
  return sent.then(
    (parts) => {
      host.liveness.leave();
      if (parts.status === TOO_EARLY || isRedirect(parts.status)) {
        return fetchInSteps(host, request, undefined, parts);
      }
      host.accepted.leave();
      try {
        const response = readResponse(host, request, request, parts, false);
        return response instanceof Promise ? response.catch(throwFailure) : response;
      } catch (error) {
        discard(parts, error);
        throw failureOf(error);
      }
    },
    (error) => {
      host.liveness.leave();
      host.accepted.leave();
      throw failureOf(error);
    },
  );
}

/** Of a request that was accepted. `first`: the response to the request itself, if that was sent. */
async function fetchInSteps(
  host: FetchHost,
  request: OutgoingRequest,
  onDatagram: ((payload: Uint8Array) => void) | undefined,
  first: ResponseParts | null = null,
): Promise<H3Response> {
  try {
    return await follow(host, request, onDatagram, first);
  } catch (error) {
    request.body?.cancel(error).catch(ignore);
    if (request.signal?.aborted === true) throw request.signal.reason;
    throw failureOf(error);
  } finally {
    host.accepted.leave();
  }
}

function failureOf(error: unknown): unknown {
  return error instanceof TypeError ? error : fetchFailed(error);
}

function throwFailure(error: unknown): never {
  throw failureOf(error);
}

async function follow(
  host: FetchHost,
  request: OutgoingRequest,
  onDatagram: ((payload: Uint8Array) => void) | undefined,
  first: ResponseParts | null,
): Promise<H3Response> {
  let hop: Hop = request;
  let sent = first;
  for (let redirects = 0; ; redirects++) {
    const parts = await sendHop(host, request, hop, onDatagram, sent);
    sent = null;
    try {
      const location = request.redirect === 'manual' ? null : redirectLocation(parts, hop.url);
      if (location === null) return await readResponse(host, request, hop, parts, redirects > 0);
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

/**
 * One request and its response, which may be here already. One that came too early is sent again, after the handshake
 * (RFC 8470 §5.2).
 */
async function sendHop(
  host: FetchHost,
  request: OutgoingRequest,
  hop: Hop,
  onDatagram: ((payload: Uint8Array) => void) | undefined,
  first: ResponseParts | null,
): Promise<ResponseParts> {
  // What has a body does not go in early data.
  if (first !== null && hop.body !== null) return first;
  const body = hop.body === null ? null : await hop.body.open();
  const order = orderOf(host, request, hop, body, onDatagram);
  if (body !== null) return sendBody(host, request, order, body);
  const parts = first ?? (await send(host, order));
  if (parts.status !== TOO_EARLY || order.earlyData !== true) return parts;
  discard(parts, undefined);
  return send(host, { ...order, earlyData: false });
}

/** What crosses the border for a hop. Throws for a URL, or a length, that cannot be sent. */
function orderOf(
  host: FetchHost,
  request: OutgoingRequest,
  hop: Hop,
  body: OpenedBody | null,
  onDatagram: ((payload: Uint8Array) => void) | undefined,
): RequestOrder {
  if (hop.url.protocol !== 'https:') {
    const message = `the URL begins with ${hop.url.protocol} and HTTP/3 is https only`;
    throw new H3Error('ERR_H3_CLIENT_SCHEME', message);
  }
  const early =
    host.options.earlyData === 'safe-methods' &&
    request.mayBeEarly &&
    body === null &&
    SAFE_METHODS.has(hop.method);
  return {
    method: hop.method,
    url: hop.url,
    fields: requestFields(hop.fields, {
      method: hop.method,
      body,
      tunnel: request.protocol !== null,
      options: host.options,
    }),
    body: body?.content instanceof Uint8Array ? body.content : null,
    signal: request.signal,
    protocol: request.protocol ?? undefined,
    earlyData: early,
    onInformational: request.onInformational === null ? undefined : quietly(request.onInformational),
    onDatagram,
  };
}

/** A body that is whole goes as it is, unless trailers follow it. */
async function sendBody(
  host: FetchHost,
  request: OutgoingRequest,
  order: RequestOrder,
  { content }: OpenedBody,
): Promise<ResponseParts> {
  const { trailers } = request;
  if (content instanceof Uint8Array && trailers === null) return send(host, order);
  const promised = findField(order.fields, 'content-length');
  const upload = new Upload(content, promised === null ? null : Number(promised), host.liveness);
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
function readResponse(
  host: FetchHost,
  request: OutgoingRequest,
  { method, url }: Hop,
  parts: ResponseParts,
  redirected: boolean,
): H3Response | Promise<H3Response> {
  const provenance = { parts, redirected, url: url.withoutFragment, decoded: false };
  if (parts.body === null || method === 'HEAD' || NULL_BODY_STATUSES.has(parts.status)) {
    discard(parts, undefined);
    if (readIntegrity(request.integrity).length === 0) return makeResponse(null, provenance);
    throw new H3Error('ERR_H3_CLIENT_INTEGRITY', 'the response has no content that integrity could name', {
      remote: true,
    });
  }
  const codings =
    host.options.decompress && request.protocol === null
      ? readCodings(findField(parts.fields, 'content-encoding'))
      : null;
  const { signal } = request;
  const body = codings === null ? parts.body : decode(streamOf(parts.body), codings);
  const decoded = codings !== null;
  const hashes = readIntegrity(request.integrity);
  if (hashes.length > 0) return readChecked(body, hashes, host, signal, { ...provenance, decoded });
  // Whole content without a signal cannot fail any more.
  if (body instanceof Uint8Array && signal === null) return makeResponse(body, provenance);
  return makeResponse(deliver(ownStream(body), signal, host.liveness), { ...provenance, decoded });
}

/** The Response, once its content is here and has one of the hashes. */
async function readChecked(
  content: Uint8Array | ReadableStream<Uint8Array>,
  hashes: ReturnType<typeof readIntegrity>,
  host: FetchHost,
  signal: AbortSignal | null,
  provenance: Provenance,
): Promise<H3Response> {
  const body = await collect(streamOf(content), host, signal);
  checkIntegrity(body, hashes);
  return makeResponse(signal === null ? body : deliver(streamOf(body), signal, host.liveness), provenance);
}

/** A stream whose chunks belong to its reader. */
function ownStream(body: Uint8Array | ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  return streamOf(body instanceof Uint8Array ? body.slice() : body);
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
