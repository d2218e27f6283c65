import type { H3DatagramContext } from './datagrams.js';
import { describe, type UsageError, usageError } from './errors.js';
import { isToken } from './fields.js';
import { checkKeys, checkObject, optional } from './option-check.js';
import type { BodyMode, Handler, RouteDefinition } from './route-kinds.js';
import type { WTContext } from './webtransport.js';

export type { BodyMode, Handler, RouteDefinition, RouteDefinitions, RouteParams } from './route-kinds.js';

/** A route after validation. */
export interface Route {
  /** Without duplicates; `["*"]` for any. */
  readonly methods: readonly string[];
  readonly pattern: string;
  /** The names of the parameters in the order of the pattern; `*` for a wildcard. */
  readonly paramNames: readonly string[];
  readonly protocol: string | undefined;
  readonly mode: BodyMode;
  readonly fetch: Handler | null;
  readonly h3Datagram: H3DatagramHandler | null;
  readonly webtransport: SessionHandler | null;
  /** Null: all. */
  readonly allowedOrigins: ReadonlySet<string> | null;
}

/** Takes a WebTransport session. */
export type SessionHandler = (context: WTContext) => unknown;

/** Takes an HTTP datagram. */
export type H3DatagramHandler = (payload: Uint8Array, context: H3DatagramContext) => unknown;

/** Returns `definition` as it is: types the parameters of a route that is written apart from `createH3Server`. */
export function route<const Pattern extends string>(
  definition: RouteDefinition<Pattern>,
): RouteDefinition<Pattern> {
  return definition;
}

const ROUTE_KEYS = [
  'method',
  'pattern',
  'mode',
  'fetch',
  'h3Datagram',
  'protocol',
  'webtransport',
  'allowedOrigins',
] as const;
/** The upgrade token of sessions; newer drafts have another, which the native part takes for the same. */
const WEBTRANSPORT = 'webtransport';
const HANDLER_KEYS = ['fetch', 'h3Datagram', 'webtransport'] as const;
/** Methods that fetch upper-cases; users write them in any case. */
const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'TRACE',
]);

/**
 * Checks `routes` and brings each into one form. Throws a TypeError that names the route and the property; the syntax
 * of a pattern beyond its first character, and duplicates, are the router's to check.
 */
export function normaliseRoutes(routes: unknown, mode: BodyMode): Route[] {
  if (routes === undefined) return [];
  if (!Array.isArray(routes)) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "routes" is ${describe(routes)}; expected an array of routes`,
    );
  }
  return routes.map((definition: unknown, index) => normaliseRoute(definition, `routes[${index}]`, mode));
}

function normaliseRoute(definition: unknown, where: string, defaultMode: BodyMode): Route {
  const route = checkObject(definition, where);
  checkKeys(route, ROUTE_KEYS, where);
  const pattern = checkPattern(route['pattern'], where);
  const named = `${where} (${pattern})`;
  const methods = checkMethods(route['method'], named);
  checkHandlers(route, named);
  const protocol = checkProtocol(route['protocol'], named);
  checkConnect(route, methods, named);
  return {
    methods,
    pattern,
    paramNames: paramNames(pattern),
    protocol: route['webtransport'] === undefined ? protocol : WEBTRANSPORT,
    mode: bodyMode(route, defaultMode, named),
    fetch: (route['fetch'] as Handler | undefined) ?? null,
    h3Datagram: (route['h3Datagram'] as H3DatagramHandler | undefined) ?? null,
    webtransport: (route['webtransport'] as SessionHandler | undefined) ?? null,
    allowedOrigins: checkOrigins(route, named),
  };
}

/** Datagrams belong to a request that is open: such a route does not wait for the body. */
function bodyMode(route: Readonly<Record<string, unknown>>, defaultMode: BodyMode, where: string): BodyMode {
  const given = optional(route['mode'], (value) => checkMode(value, `${where}: "mode"`));
  if (route['h3Datagram'] === undefined) return given ?? defaultMode;
  if (given !== 'buffered') return 'streaming';
  throw usageError(
    'ERR_H3_ROUTE_HANDLER',
    `${where}: a route with "h3Datagram" has mode "streaming": remove "mode"`,
  );
}

/** `value` as a body mode; `what` names it in errors. */
export function checkMode(value: unknown, what: string): BodyMode {
  if (value === 'buffered' || value === 'streaming') return value;
  throw usageError('ERR_H3_OPTION_TYPE', `${what} is ${describe(value)}; expected "buffered" or "streaming"`);
}

function checkPattern(pattern: unknown, where: string): string {
  if (typeof pattern === 'string' && pattern.startsWith('/')) return pattern;
  const given = typeof pattern === 'string' ? JSON.stringify(pattern) : describe(pattern);
  throw usageError(
    'ERR_H3_ROUTE_PATTERN',
    `${where}: "pattern" is ${given}; expected a path that begins with "/", such as "/users/:id"`,
  );
}

function checkMethods(method: unknown, where: string): string[] {
  if (method === '*') return ['*'];
  const list: unknown[] = Array.isArray(method) ? method : [method];
  if (list.length === 0) throw badMethod(where, 'an empty array');
  const methods = new Set<string>();
  for (const entry of list) {
    if (typeof entry !== 'string') throw badMethod(where, describe(entry));
    if (entry === '*') throw badMethod(where, 'a list with "*"');
    if (!isToken(entry)) throw badMethod(where, JSON.stringify(entry));
    const upper = entry.toUpperCase();
    methods.add(KNOWN_METHODS.has(upper) ? upper : entry);
  }
  return [...methods];
}

function badMethod(where: string, given: string): UsageError {
  return usageError(
    'ERR_H3_ROUTE_METHOD',
    `${where}: "method" is ${given}; expected a method such as "GET", an array of methods, or "*"`,
  );
}

function checkHandlers(route: Readonly<Record<string, unknown>>, where: string): void {
  const given = HANDLER_KEYS.filter((key) => route[key] !== undefined);
  for (const key of given) {
    if (typeof route[key] === 'function') continue;
    throw usageError(
      'ERR_H3_ROUTE_HANDLER',
      `${where}: "${key}" is ${describe(route[key])}; expected a function`,
    );
  }
  if (given.length === 0) {
    throw usageError(
      'ERR_H3_ROUTE_HANDLER',
      `${where} has no handler: give it a "fetch", an "h3Datagram" or a "webtransport" function`,
    );
  }
  if (route['webtransport'] !== undefined && given.length > 1) {
    throw usageError('ERR_H3_ROUTE_HANDLER', `${where}: a route with "webtransport" takes no other handler`);
  }
}

function checkOrigins(route: Readonly<Record<string, unknown>>, where: string): ReadonlySet<string> | null {
  const origins = route['allowedOrigins'];
  if (origins === undefined) return null;
  const isList = Array.isArray(origins) && origins.every((origin) => typeof origin === 'string');
  if (!isList || route['webtransport'] === undefined) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `${where}: "allowedOrigins" is ${describe(origins)}; expected an array of origins such as "https://example.com", beside "webtransport"`,
    );
  }
  return new Set(origins as string[]);
}

function checkProtocol(protocol: unknown, where: string): string | undefined {
  if (protocol === undefined || (typeof protocol === 'string' && isToken(protocol))) return protocol;
  const given = typeof protocol === 'string' ? JSON.stringify(protocol) : describe(protocol);
  throw usageError(
    'ERR_H3_ROUTE_METHOD',
    `${where}: "protocol" is ${given}; expected a token such as "connect-udp"`,
  );
}

/** WebTransport and other protocols begin with an extended CONNECT (RFC 9220 §3), and with nothing else. */
function checkConnect(
  route: Readonly<Record<string, unknown>>,
  methods: readonly string[],
  where: string,
): void {
  const key = route['webtransport'] !== undefined ? 'webtransport' : 'protocol';
  if (route[key] === undefined) return;
  if (methods.length !== 1 || methods[0] !== 'CONNECT') {
    throw usageError('ERR_H3_ROUTE_METHOD', `${where}: a route with "${key}" needs method "CONNECT"`);
  }
  if (key === 'webtransport' && route['protocol'] !== undefined) {
    throw usageError(
      'ERR_H3_ROUTE_METHOD',
      `${where}: "webtransport" implies its protocol: remove "protocol"`,
    );
  }
}

function paramNames(pattern: string): string[] {
  const names: string[] = [];
  for (const segment of pattern.split('/')) {
    if (segment.startsWith(':')) names.push(segment.slice(1));
    else if (segment === '*') names.push('*');
  }
  return names;
}
