/** Whose part of the work an error belongs to, from what the user wrote down to the wire. */
export type H3ErrorLayer =
  | 'options'
  | 'routes'
  | 'response'
  | 'server'
  | 'client'
  | 'tls'
  | 'quic'
  | 'http3'
  | 'body';

/** One row of {@link ERROR_CODES}. */
export interface ErrorRow {
  /** The class thrown: usage mistakes are `TypeError` or `RangeError`, everything else is `H3Error`. */
  readonly kind: 'TypeError' | 'RangeError' | 'H3Error';
  /** Whose part of the work it belongs to. */
  readonly layer: H3ErrorLayer;
  /** What happened, in one sentence: the line of the reference page. */
  readonly doc: string;
  /** What to do about it. */
  readonly hint: string;
}

/**
 * Every error code: the one source of the `H3ErrorCode` union, of the class and layer of an error, and of the
 * reference page.
 */
export const ERROR_CODES = {
  ERR_H3_OPTION_UNKNOWN: {
    kind: 'TypeError',
    layer: 'options',
    doc: 'An option has a name that does not exist.',
    hint: 'Correct the name; the message suggests the nearest one.',
  },
  ERR_H3_OPTION_TYPE: {
    kind: 'TypeError',
    layer: 'options',
    doc: 'An option has a value of the wrong type, or contradicts another option.',
    hint: 'Pass a value of the type that the message names.',
  },
  ERR_H3_OPTION_RANGE: {
    kind: 'RangeError',
    layer: 'options',
    doc: 'A numeric option lies outside its range.',
    hint: 'Stay inside the range that the message names.',
  },
  ERR_H3_OPTION_FILE: {
    kind: 'TypeError',
    layer: 'options',
    doc: 'A file named by an option could not be read.',
    hint: 'Check the path and its permissions; `cause` is the error of the file system.',
  },
  ERR_H3_ROUTE_PATTERN: {
    kind: 'TypeError',
    layer: 'routes',
    doc: 'A route pattern is malformed.',
    hint: 'Write a path that begins with "/", with ":name" segments and at most one "*", as the last segment.',
  },
  ERR_H3_ROUTE_METHOD: {
    kind: 'TypeError',
    layer: 'routes',
    doc: 'The method of a route is no HTTP method, or does not fit its other properties.',
    hint: 'Use a method name, a list of names, or "*"; WebTransport and `protocol` need CONNECT.',
  },
  ERR_H3_ROUTE_HANDLER: {
    kind: 'TypeError',
    layer: 'routes',
    doc: 'A route has no handler, or a handler that is no function.',
    hint: 'Give the route a `fetch` or an `h3Datagram` function.',
  },
  ERR_H3_ROUTE_DUPLICATE: {
    kind: 'TypeError',
    layer: 'routes',
    doc: 'Two routes answer the same method, pattern and protocol.',
    hint: 'Remove one of the two.',
  },
  ERR_H3_RELOAD: {
    kind: 'TypeError',
    layer: 'routes',
    doc: '`reload()` was asked to change what cannot change while clients rely on it.',
    hint: 'Make a new server; to take sessions or datagrams later, have a route for them from the start.',
  },
  ERR_H3_RESPONSE_TYPE: {
    kind: 'TypeError',
    layer: 'response',
    doc: 'A handler returned something that is no Response.',
    hint: 'Return a Response, or a promise of one.',
  },
  ERR_H3_RESPONSE_STATUS: {
    kind: 'RangeError',
    layer: 'response',
    doc: 'The status of a Response lies outside 200 to 599, or that of an interim answer outside 100 and 102 to 199.',
    hint: 'Use a status of that range; HTTP/3 has no 101 (RFC 9114 §4.5).',
  },
  ERR_H3_HEADER: {
    kind: 'TypeError',
    layer: 'http3',
    doc: 'A header or trailer is malformed, or is one that HTTP/3 forbids there (RFC 9114 §4.2, RFC 9110 §6.5.1).',
    hint: 'Remove or correct the field that the message names.',
  },
  ERR_H3_RESPONSE_LENGTH: {
    kind: 'TypeError',
    layer: 'response',
    doc: 'The content-length of a Response is malformed or is not the length of its body.',
    hint: 'Leave content-length out: it is added when the length is known.',
  },
  ERR_H3_RESPONSE_BODY: {
    kind: 'TypeError',
    layer: 'response',
    doc: 'The body of a Response was already read, is locked, has a wrong chunk, or does not fit the status.',
    hint: 'Make a new Response for every request.',
  },
  ERR_H3_FILE_NOT_FOUND: {
    kind: 'H3Error',
    layer: 'response',
    doc: 'The file of an answer does not exist.',
    hint: 'Answer 404 in `error`, or check the path; relative paths begin at the working directory.',
  },
  ERR_H3_FILE_NOT_REGULAR: {
    kind: 'H3Error',
    layer: 'response',
    doc: 'What an answer names as its file is a folder, a pipe or a device.',
    hint: 'Name a regular file; for a folder use `serveStatic`.',
  },
  ERR_H3_FILE_ACCESS: {
    kind: 'H3Error',
    layer: 'response',
    doc: 'The process may not read the file of an answer.',
    hint: 'Check the permissions of the file and of the folders above it.',
  },
  ERR_H3_FILE_READ: {
    kind: 'H3Error',
    layer: 'response',
    doc: 'The operating system failed to open or read the file of an answer.',
    hint: 'See the message; "too many open files" means that the limit of the process (`ulimit -n`) is low.',
  },
  ERR_H3_FILE_CHANGED: {
    kind: 'H3Error',
    layer: 'response',
    doc: 'A file became shorter, or another file, while it was being sent; the client saw a reset.',
    hint: 'Replace files by renaming a new one over them, instead of writing into them.',
  },
  ERR_H3_BODY_USED: {
    kind: 'TypeError',
    layer: 'body',
    doc: 'The body of a Request was read a second time.',
    hint: 'Read it once and keep the result, or read a clone().',
  },
  ERR_H3_SESSION_DECIDED: {
    kind: 'TypeError',
    layer: 'routes',
    doc: 'A WebTransport session was accepted or refused a second time.',
    hint: 'Decide once: the first use of a session accepts it.',
  },
  ERR_H3_DATAGRAM: {
    kind: 'TypeError',
    layer: 'quic',
    doc: 'What was given to send as a datagram is no bytes.',
    hint: 'Pass a Uint8Array, such as new TextEncoder().encode(text).',
  },
  ERR_H3_ADDRESS_IN_USE: {
    kind: 'H3Error',
    layer: 'server',
    doc: 'Another socket already uses the UDP port.',
    hint: 'Choose another port, or 0 for any free one.',
  },
  ERR_H3_BIND: {
    kind: 'H3Error',
    layer: 'server',
    doc: 'The UDP socket could not be opened on the given address.',
    hint: 'Check `hostname`, and whether the port needs privileges.',
  },
  ERR_H3_SERVER_RUNNING: {
    kind: 'H3Error',
    layer: 'server',
    doc: 'start() was called on a server that runs.',
    hint: 'Call stop() first.',
  },
  ERR_H3_SERVER_CLOSED: {
    kind: 'H3Error',
    layer: 'server',
    doc: 'The server was closed before or during the call.',
    hint: 'Do not use a server after close().',
  },
  ERR_H3_BROWSER: {
    kind: 'TypeError',
    layer: 'server',
    doc: 'Something of the server was used in a browser, which cannot listen.',
    hint: 'Import it only in programs for Node, Bun or Deno; in a browser, the package gives `WebTransport` and `WebTransportError`.',
  },
  ERR_H3_NATIVE: {
    kind: 'H3Error',
    layer: 'server',
    doc: 'The native part of the package could not be loaded: the import itself fails.',
    hint: 'Do what the message says: it names the missing package and the likely causes.',
  },
  ERR_H3_CERTIFICATE: {
    kind: 'TypeError',
    layer: 'tls',
    doc: 'A certificate or private key cannot be used.',
    hint: 'Pass a PEM certificate chain and the unencrypted private key that belongs to it.',
  },
  ERR_H3_CONNECTION_CLOSED: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'The connection was closed; `wireCode` is the code of the side that closed it.',
    hint: 'Nothing, if the closing was wanted; else see `remote` and `wireCode`.',
  },
  ERR_H3_STREAM_RESET: {
    kind: 'H3Error',
    layer: 'http3',
    doc: 'One side reset the stream of a request, or declined its body, before its end.',
    hint: 'Treat the exchange as aborted.',
  },
  ERR_H3_PROTOCOL: {
    kind: 'H3Error',
    layer: 'http3',
    doc: 'The peer broke a rule of HTTP/3; `wireCode` is the error code that was sent.',
    hint: 'Report it to the maker of the peer.',
  },
  ERR_H3_CLIENT_REQUEST: {
    kind: 'TypeError',
    layer: 'client',
    doc: 'What was given to the client as a request cannot be sent: its URL, method, body or another member of `init`.',
    hint: 'Correct the member that the message names.',
  },
  ERR_H3_CLIENT_CLOSED: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'The client was closed or destroyed before or during the request.',
    hint: 'Make a new H3Client.',
  },
  ERR_H3_CLIENT_SCHEME: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'The URL has another scheme than https: HTTP/3 has no other.',
    hint: "Use an https: URL, or the runtime's own fetch.",
  },
  ERR_H3_CLIENT_NAME_NOT_FOUND: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'The host name has no address.',
    hint: 'Check the spelling of the host and the resolver of this machine; option `resolve` can name addresses.',
  },
  ERR_H3_CLIENT_REFUSED: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'Nothing listens on the UDP port of the server, or the server refuses new connections.',
    hint: 'Start the server, and check its port: HTTP/3 needs UDP.',
  },
  ERR_H3_CLIENT_UNREACHABLE: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'No route leads to the server.',
    hint: 'Check the network, and whether the machine has the address family of the server.',
  },
  ERR_H3_CLIENT_LOCAL_ADDRESS: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'The UDP socket of the client could not be opened or bound.',
    hint: 'Check option `localAddress`: it must be an address of this machine and of the family of the server.',
  },
  ERR_H3_CLIENT_CONNECT_TIMEOUT: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'The handshake was not complete within `connectTimeoutMs`.',
    hint: 'Check that UDP reaches the server through every firewall, or allow more time.',
  },
  ERR_H3_CLIENT_CERTIFICATE_ISSUER: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate of the server was issued by nobody that the client trusts.',
    hint: 'Pass the authority as `ca`, or the hash of a development certificate as `serverCertificateHashes`.',
  },
  ERR_H3_CLIENT_CERTIFICATE_EXPIRED: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate of the server has expired or is not valid yet.',
    hint: 'Renew it on the server, and check the clocks of both machines.',
  },
  ERR_H3_CLIENT_CERTIFICATE_HOST: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate of the server is for other hosts than the one in the URL.',
    hint: 'Use a host that the message lists, or issue a certificate for this one.',
  },
  ERR_H3_CLIENT_CERTIFICATE_INVALID: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate of the server is malformed, revoked, badly signed or not for servers.',
    hint: 'Replace it on the server; the message says what is wrong.',
  },
  ERR_H3_CLIENT_PIN_MISMATCH: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate of the server is none of `serverCertificateHashes`.',
    hint: 'Ask the server for the hash of its present certificate.',
  },
  ERR_H3_CLIENT_PIN_EXPIRED: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate that `serverCertificateHashes` names has expired or is not valid yet.',
    hint: 'Make a new one on the server and hand out its hash.',
  },
  ERR_H3_CLIENT_PIN_UNSUITABLE: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The certificate that `serverCertificateHashes` names may not be pinned: it is valid for more than 14 days or its key is not ECDSA P-256.',
    hint: 'Make one as W3C WebTransport demands it: ECDSA P-256, valid for 14 days at most.',
  },
  ERR_H3_CLIENT_IDENTITY_REFUSED: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The server demands a certificate of the client, or refused the one it was shown.',
    hint: 'Pass `cert` and `key` of an identity that the server trusts.',
  },
  ERR_H3_CLIENT_ALPN: {
    kind: 'H3Error',
    layer: 'tls',
    doc: 'The server does not speak HTTP/3 on this port.',
    hint: 'Check the port: another QUIC protocol answers there.',
  },
  ERR_H3_CLIENT_UNSUPPORTED: {
    kind: 'H3Error',
    layer: 'http3',
    doc: 'The server does not support what the request needs: extended CONNECT, or WebTransport.',
    hint: 'Check the server and its routes: it says in its SETTINGS what it supports.',
  },
  ERR_H3_CLIENT_VERSION: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'The server speaks no version of QUIC that this client knows.',
    hint: 'Update the server: version 1 (RFC 9000) is needed.',
  },
  ERR_H3_CLIENT_HANDSHAKE: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'The handshake failed for another reason; `wireCode` is the error code of the side that ended it.',
    hint: 'See the message, and the log of the server.',
  },
  ERR_H3_CLIENT_HEADERS_TIMEOUT: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'No response came within `headersTimeoutMs`.',
    hint: 'Allow more time, or find out why the server is slow.',
  },
  ERR_H3_CLIENT_BODY_TIMEOUT: {
    kind: 'H3Error',
    layer: 'body',
    doc: 'Nothing more of a response body came within `bodyTimeoutMs`.',
    hint: 'Allow more time, or find out why the server is slow.',
  },
  ERR_H3_CLIENT_HEADERS_TOO_LARGE: {
    kind: 'H3Error',
    layer: 'http3',
    doc: 'The header section of a response is larger than `maxResponseHeaderBytes`.',
    hint: 'Raise the limit if the server is to be trusted with it.',
  },
  ERR_H3_CLIENT_BODY_TRUNCATED: {
    kind: 'H3Error',
    layer: 'body',
    doc: 'A response body ended before its content-length, or in the middle of its content coding.',
    hint: 'Repeat the request; what came so far is not whole.',
  },
  ERR_H3_CLIENT_DECODE: {
    kind: 'H3Error',
    layer: 'body',
    doc: 'A response body is not what its content-encoding says.',
    hint: 'Report it to the maker of the server, or pass `decompress: false`.',
  },
  ERR_H3_CLIENT_INTEGRITY: {
    kind: 'H3Error',
    layer: 'body',
    doc: 'A response body is not the one that `integrity` names.',
    hint: 'Check the hash; if it is right, somebody changed the content.',
  },
  ERR_H3_CLIENT_REJECTED: {
    kind: 'H3Error',
    layer: 'http3',
    doc: 'The server refused to process the request (H3_REQUEST_REJECTED), also when it was repeated.',
    hint: 'Repeat it later: it is certain that it was not processed (RFC 9114 §4.1.1).',
  },
  ERR_H3_CLIENT_CONNECTION_LOST: {
    kind: 'H3Error',
    layer: 'quic',
    doc: 'The server vanished: nothing came from it for `idleTimeoutMs`.',
    hint: 'Repeat the request if that is safe; it may have been processed.',
  },
  ERR_H3_CLIENT_REDIRECT: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'A redirect cannot be followed: its location is malformed or leads away from https, or the body of the request cannot be sent again.',
    hint: 'See the message; `redirect: "manual"` gives the response itself.',
  },
  ERR_H3_CLIENT_REDIRECT_LIMIT: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'There were more redirects than `maxRedirects`.',
    hint: 'Look for a loop on the server.',
  },
  ERR_H3_CLIENT_REDIRECT_REFUSED: {
    kind: 'H3Error',
    layer: 'client',
    doc: 'The server redirects, and the request has `redirect: "error"`.',
    hint: 'Request the location that the message names.',
  },
  ERR_H3_INTERNAL: {
    kind: 'H3Error',
    layer: 'server',
    doc: 'Something failed that should not be able to.',
    hint: 'Report it with the message and the `cause`.',
  },
} as const satisfies Record<string, ErrorRow>;

/** The `code` of every error of this package. */
export type H3ErrorCode = keyof typeof ERROR_CODES;

/** The codes that are usage mistakes: thrown as `TypeError` or `RangeError` at once. */
export type UsageErrorCode = {
  [Code in H3ErrorCode]: (typeof ERROR_CODES)[Code]['kind'] extends 'H3Error' ? never : Code;
}[H3ErrorCode];

/** A usage mistake: `TypeError` or `RangeError` with a code. */
export type UsageError = (TypeError | RangeError) & {
  /** Which mistake it is: a key of {@link ERROR_CODES}. */
  readonly code: UsageErrorCode;
};

/** Where an {@link H3Error} comes from. */
export interface H3ErrorDetails {
  /** True if the peer caused it. Default false. */
  readonly remote?: boolean | undefined;
  /** The error code on the wire, if one was sent or received. */
  readonly wireCode?: number | bigint | undefined;
  /** What it follows from. */
  readonly cause?: unknown;
}

/** Shared by all copies of this package in a process, so that `isH3Error` holds across them. */
const BRAND = Symbol.for('trilane.H3Error');

/** What went wrong at run time. Usage mistakes are `TypeError` or `RangeError` instead. */
export class H3Error extends Error {
  /** Always `H3Error`. */
  override readonly name = 'H3Error';
  /** What went wrong: a key of {@link ERROR_CODES}; it stays the same in every version. */
  readonly code: H3ErrorCode;
  /** Whose part of the work it belongs to. */
  readonly layer: H3ErrorLayer;
  /** True if the peer caused it. */
  readonly remote: boolean;
  /** The error code on the wire; absent if none was sent or received. */
  readonly wireCode?: number | bigint;
  /** @internal */
  readonly [BRAND] = true;

  /** @internal Errors of this class are made by this package. */
  constructor(code: H3ErrorCode, message: string, details: H3ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.layer = ERROR_CODES[code].layer;
    this.remote = details.remote ?? false;
    if (details.wireCode !== undefined) this.wireCode = details.wireCode;
  }
}

/** Whether `value` is an {@link H3Error} of this or any other copy of the package. */
export function isH3Error(value: unknown): value is H3Error {
  return typeof value === 'object' && value !== null && BRAND in value && value[BRAND] === true;
}

/** A usage mistake of the class that the table names for `code`. */
export function usageError(code: UsageErrorCode, message: string, cause?: unknown): UsageError {
  const UsageClass = ERROR_CODES[code].kind === 'RangeError' ? RangeError : TypeError;
  const error = new UsageClass(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code });
}

/** `value` as an error message names it: its type, and the value itself where that is short and no secret. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return `${typeof value} ${String(value)}`;
  }
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' && name !== 'Object'
    ? `an instance of ${name}`
    : 'an object';
}
