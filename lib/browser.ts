// What `import 'trilane'` gives in a bundle for browsers: the same names as index.ts, so that shared modules bundle. A browser
// has clients only, and its own; what belongs to a server throws when it is used.

import { usageError } from './errors.js';

export { ERROR_CODES, H3Error, isH3Error } from './errors.js';

interface Platform {
  readonly WebTransportDatagramsWritable: unknown;
  readonly WebTransportSendGroup: unknown;
  readonly WebTransportReceiveStream: unknown;
  readonly WebTransportSendStream: unknown;
  readonly WebTransport: unknown;
  readonly WebTransportError: unknown;
  readonly Response: unknown;
}

/** A global of the browser with the type that the program's own libraries give it; undefined where there is none. */
type Global<Name extends keyof Platform> =
  typeof globalThis extends Record<Name, infer Value> ? Value : unknown;

const platform = globalThis as unknown as { readonly [Name in keyof Platform]: Global<Name> };

/** The browser's own; undefined in one that has none. */
export const WebTransport: Global<'WebTransport'> = platform.WebTransport;
/** The browser's own; undefined in one that has none. */
export const WebTransportError: Global<'WebTransportError'> = platform.WebTransportError;
/** The browser's own; undefined in one that has none. */
export const WebTransportDatagramsWritable: Global<'WebTransportDatagramsWritable'> =
  platform.WebTransportDatagramsWritable;
/** The browser's own; undefined in one that has none. */
export const WebTransportSendGroup: Global<'WebTransportSendGroup'> = platform.WebTransportSendGroup;
/** The browser's own; undefined in one that has none. */
export const WebTransportReceiveStream: Global<'WebTransportReceiveStream'> =
  platform.WebTransportReceiveStream;
/** The browser's own; undefined in one that has none. */
export const WebTransportSendStream: Global<'WebTransportSendStream'> = platform.WebTransportSendStream;
/** The browser's own. */
export const Response: Global<'Response'> = platform.Response;

/** Returns `definition` as it is: modules of routes may be shared. */
export function route<Definition>(definition: Definition): Definition {
  return definition;
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: a browser cannot listen. */
export function createH3Server(): never {
  throw browserError('createH3Server()');
}

/** Its constructor throws a TypeError with code `ERR_H3_BROWSER`: a browser cannot listen. */
export class H3Server {
  constructor() {
    throw browserError('H3Server');
  }
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: there are no files to serve. */
export function fileResponse(): never {
  throw browserError('fileResponse()');
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: there are no files to serve. */
export function serveStatic(): never {
  throw browserError('serveStatic()');
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: only servers send trailers. */
export function withTrailers(): never {
  throw browserError('withTrailers()');
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: only servers offer other ways to themselves. */
export function altSvc(): never {
  throw browserError('altSvc()');
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: a browser has its own `fetch`, and chooses HTTP/3 by itself. */
export function h3fetch(): never {
  throw browserError('h3fetch()');
}

/** Throws a TypeError with code `ERR_H3_BROWSER`: a browser has no raw QUIC; see WebTransport. */
export function connectQuic(): never {
  throw browserError('connectQuic()');
}

/** Its constructor throws a TypeError with code `ERR_H3_BROWSER`: a browser has its own `fetch`. */
export class H3Client {
  constructor() {
    throw browserError('H3Client');
  }
}

function browserError(name: string): TypeError {
  return usageError(
    'ERR_H3_BROWSER',
    `${name} is for servers, and a browser cannot listen: use it in Node, Bun or Deno, and WebTransport or fetch here`,
  );
}
