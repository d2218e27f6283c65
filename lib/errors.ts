/** Whose part of the work an error belongs to, from what the user wrote down to the wire. */
export type H3ErrorLayer = 'options' | 'routes' | 'response' | 'server' | 'tls' | 'quic' | 'http3' | 'body';

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

/**
 * Turns what the native part threw into the error that users see: native errors carry a code of the table and a
 * message, and may carry `remote` and `wireCode`. Anything else becomes `ERR_H3_INTERNAL` with the original as `cause`.
 */
export function fromNative(error: unknown): H3Error | UsageError {
  const { code, message, remote, wireCode } = Object(error) as Record<string, unknown>;
  const text = typeof message === 'string' ? message : String(error);
  if (typeof code !== 'string' || !isErrorCode(code)) {
    return new H3Error('ERR_H3_INTERNAL', text, { cause: error });
  }
  if (isUsageCode(code)) return usageError(code, text);
  return new H3Error(code, text, {
    remote: remote === true,
    wireCode: typeof wireCode === 'number' || typeof wireCode === 'bigint' ? wireCode : undefined,
  });
}

function isErrorCode(code: string): code is H3ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

function isUsageCode(code: H3ErrorCode): code is UsageErrorCode {
  return ERROR_CODES[code].kind !== 'H3Error';
}
