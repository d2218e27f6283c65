import { H3Error } from '../errors.js';
import { fieldLines, filterFields, type PackedFields } from '../fields.js';
import { RequestUrl } from './request-url.js';
import type { ResponseParts } from './transport.js';

/** "Redirect status" (Fetch §2.2.3). */
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** "Request-body-header name" (Fetch §2.2.2), and the length, which is added anew. */
const BODY_FIELDS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
]);
/** What is meant for one origin only (Fetch §4.4 step 13, and what a browser would have kept to itself). */
const ORIGIN_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'host',
  'proxy-authorization',
]);

/** What the next request of a chain takes over from the last. */
export interface RedirectedRequest<Body> {
  readonly method: string;
  readonly url: RequestUrl;
  readonly fields: PackedFields;
  readonly body: Body | null;
}

/** Whether a body can be sent once more. */
interface Sendable {
  readonly sendable: boolean;
}

/** Whether `status` is one of a redirect. */
export function isRedirect(status: number): boolean {
  return REDIRECT_STATUSES.has(status);
}

/**
 * The "location URL" of a response (Fetch §2.2.6): null if it is no redirect or does not say where to. The fragment of the
 * request is carried over. Throws an {@link H3Error} for a location that is no URL.
 */
export function redirectLocation(parts: ResponseParts, { href }: RequestUrl): URL | null {
  if (!isRedirect(parts.status)) return null;
  const locations = fieldLines(parts.fields, 'location');
  const [first] = locations;
  if (first === undefined) return null;
  const base = new URL(href);
  const text = fromUtf8(first);
  if (locations.length > 1 || !URL.canParse(text, base.href)) {
    throw redirectError(`the response has status ${parts.status} and a location that is no URL`);
  }
  const url = new URL(text, base);
  if (url.hash === '') url.hash = base.hash;
  return url;
}

/**
 * "HTTP-redirect fetch" (Fetch §4.4): the request that follows. Throws an {@link H3Error} if there can be none: another
 * scheme than https, credentials for another origin, or a streamed body that would have to be sent again.
 */
export function redirected<Body extends Sendable>(
  request: RedirectedRequest<Body>,
  status: number,
  location: URL,
): RedirectedRequest<Body> {
  const url = new URL(request.url.href);
  if (location.protocol !== 'https:') {
    throw redirectError(`the redirect to ${location.protocol}//${location.host} leads away from https`);
  }
  const sameOrigin = location.origin === url.origin;
  if (!sameOrigin && (location.username !== '' || location.password !== '')) {
    throw redirectError(`the redirect to ${location.origin} has a user name or password for another origin`);
  }
  location.username = '';
  location.password = '';
  // Step 11: also for statuses that would drop the body.
  if (status !== 303 && request.body !== null && !request.body.sendable) {
    throw redirectError(
      `the body of the request is a stream, which a redirect with status ${status} would have to send again`,
    );
  }
  const becomesGet =
    ((status === 301 || status === 302) && request.method === 'POST') ||
    (status === 303 && request.method !== 'GET' && request.method !== 'HEAD');
  return {
    method: becomesGet ? 'GET' : request.method,
    url: RequestUrl.of(location),
    fields: filterFields(
      request.fields,
      (name) => !(becomesGet && BODY_FIELDS.has(name)) && (sameOrigin || !ORIGIN_FIELDS.has(name)),
    ),
    body: becomesGet ? null : request.body,
  };
}

function redirectError(message: string): H3Error {
  return new H3Error('ERR_H3_CLIENT_REDIRECT', message, { remote: true });
}

/** Servers send UTF-8 in fields that are byte strings. What is none stays as it is. */
function fromUtf8(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    return decoder.decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
  } catch {
    return bytes;
  }
}
