import { checkBoolean, checkInteger, checkKeys, checkObject } from './option-check.js';
import type { H3Server } from './server.js';

/** Options of `altSvc()`. */
export interface AltSvcOptions {
  /** How long clients may remember it, in seconds. Default 86,400, a day, which is also what they assume (RFC 7838 §3.1). */
  maxAgeSeconds?: number | undefined;
  /** Whether clients keep it when they change to another network. Default false. */
  persist?: boolean | undefined;
}

const DAY_SECONDS = 86_400;
/** 68 years: what fits clients that count seconds in 31 bits. */
const MOST_SECONDS = 2 ** 31 - 1;

/**
 * The value of the `Alt-Svc` field by which a server over TCP tells its clients that `server` answers the same over HTTP/3, on
 * the same host (RFC 7838 §3). Clients try it with one of their next requests. Throws a TypeError or RangeError for a bad option.
 *
 * @example
 * const server = createH3Server({ port: 4433, fetch: () => new Response('hello') });
 * const answerOverTcp = () =>
 *   new Response('hello', { headers: { 'alt-svc': altSvc(server, { maxAgeSeconds: 3600 }) } });
 */
export function altSvc(server: Pick<H3Server, 'port'>, options: AltSvcOptions = {}): string {
  const given = checkObject(options, 'the second argument of altSvc()');
  checkKeys(given, ['maxAgeSeconds', 'persist'] satisfies (keyof AltSvcOptions)[], 'the options of altSvc()');
  const maxAge =
    given['maxAgeSeconds'] === undefined
      ? DAY_SECONDS
      : checkInteger(given['maxAgeSeconds'], 'maxAgeSeconds', 0, MOST_SECONDS);
  const persist = given['persist'] !== undefined && checkBoolean(given['persist'], 'persist');
  return `h3=":${server.port}"; ma=${maxAge}${persist ? '; persist=1' : ''}`;
}
