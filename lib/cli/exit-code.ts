import { type H3Error, type H3ErrorCode, isH3Error } from '../errors.js';
import { EXIT_INTERRUPTED, PipeClosed } from './terminal.js';

/** A command cannot go on: what to print, and what to exit with. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Exit codes; they are those of curl where curl has one. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  badUrl: 3,
  nameNotFound: 6,
  noConnection: 7,
  truncated: 18,
  status: 22,
  write: 23,
  read: 26,
  timeout: 28,
  handshake: 35,
  redirects: 47,
  receive: 56,
  identity: 58,
  certificate: 60,
  decode: 61,
  pin: 90,
  http3: 95,
  interrupted: EXIT_INTERRUPTED,
} as const;

const BY_CODE: Partial<Record<H3ErrorCode, number>> = {
  ERR_H3_OPTION_UNKNOWN: EXIT.usage,
  ERR_H3_OPTION_TYPE: EXIT.usage,
  ERR_H3_OPTION_RANGE: EXIT.usage,
  ERR_H3_OPTION_FILE: EXIT.identity,
  ERR_H3_CERTIFICATE: EXIT.identity,
  ERR_H3_HEADER: EXIT.usage,
  ERR_H3_ADDRESS_IN_USE: EXIT.noConnection,
  ERR_H3_BIND: EXIT.noConnection,
  ERR_H3_CLIENT_REQUEST: EXIT.badUrl,
  ERR_H3_CLIENT_SCHEME: EXIT.badUrl,
  ERR_H3_CLIENT_NAME_NOT_FOUND: EXIT.nameNotFound,
  ERR_H3_CLIENT_REFUSED: EXIT.noConnection,
  ERR_H3_CLIENT_UNREACHABLE: EXIT.noConnection,
  ERR_H3_CLIENT_LOCAL_ADDRESS: EXIT.noConnection,
  ERR_H3_CLIENT_CONNECT_TIMEOUT: EXIT.timeout,
  ERR_H3_CLIENT_HEADERS_TIMEOUT: EXIT.timeout,
  ERR_H3_CLIENT_BODY_TIMEOUT: EXIT.timeout,
  ERR_H3_CLIENT_CERTIFICATE_ISSUER: EXIT.certificate,
  ERR_H3_CLIENT_CERTIFICATE_EXPIRED: EXIT.certificate,
  ERR_H3_CLIENT_CERTIFICATE_HOST: EXIT.certificate,
  ERR_H3_CLIENT_CERTIFICATE_INVALID: EXIT.certificate,
  ERR_H3_CLIENT_PIN_MISMATCH: EXIT.pin,
  ERR_H3_CLIENT_PIN_EXPIRED: EXIT.certificate,
  ERR_H3_CLIENT_PIN_UNSUITABLE: EXIT.certificate,
  ERR_H3_CLIENT_IDENTITY_REFUSED: EXIT.handshake,
  ERR_H3_CLIENT_ALPN: EXIT.handshake,
  ERR_H3_CLIENT_VERSION: EXIT.handshake,
  ERR_H3_CLIENT_HANDSHAKE: EXIT.handshake,
  ERR_H3_CLIENT_BODY_TRUNCATED: EXIT.truncated,
  ERR_H3_CLIENT_DECODE: EXIT.decode,
  ERR_H3_CLIENT_REDIRECT_LIMIT: EXIT.redirects,
  ERR_H3_CLIENT_CONNECTION_LOST: EXIT.receive,
  ERR_H3_CONNECTION_CLOSED: EXIT.receive,
  ERR_H3_STREAM_RESET: EXIT.http3,
  ERR_H3_PROTOCOL: EXIT.http3,
};

/** What else a person at a command line can do. */
const TRUST_HINT = 'on the command line: --ca FILE, --pin HASH, or --insecure to trust any';
const HINTS: Partial<Record<H3ErrorCode, string>> = {
  ERR_H3_CLIENT_CERTIFICATE_ISSUER: TRUST_HINT,
  ERR_H3_CLIENT_CERTIFICATE_EXPIRED: TRUST_HINT,
  ERR_H3_CLIENT_CERTIFICATE_HOST: TRUST_HINT,
  ERR_H3_CLIENT_CERTIFICATE_INVALID: TRUST_HINT,
};

/** How a command that failed with `error` exits, and what it says; nothing if there is nothing to say. */
export function verdict(error: unknown): { readonly exitCode: number; readonly message: string | null } {
  if (error instanceof PipeClosed) return { exitCode: EXIT.write, message: null };
  if (error instanceof CommandError) return { exitCode: error.exitCode, message: error.message };
  const { name, code, message, cause } = Object(error) as Record<string, unknown>;
  if (name === 'TimeoutError')
    return { exitCode: EXIT.timeout, message: 'the time that was allowed is over' };
  if (name === 'AbortError') return { exitCode: EXIT.interrupted, message: null };
  if (isH3Error(error)) return networkVerdict(error);
  if (isH3Error(cause)) return networkVerdict(cause);
  if (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS')) {
    // What follows the first sentence is about the API of `node:util`.
    const [what = ''] = String(message).split('. ');
    return { exitCode: EXIT.usage, message: `${what}: --help tells the options` };
  }
  return {
    exitCode: BY_CODE[code as H3ErrorCode] ?? EXIT.failed,
    message: cause instanceof Error ? `${String(message)}: ${cause.message}` : String(message),
  };
}

function networkVerdict({ code, message }: H3Error): { exitCode: number; message: string } {
  const hint = HINTS[code];
  return {
    exitCode: BY_CODE[code] ?? EXIT.failed,
    message: hint === undefined ? message : `${message}\n${hint}`,
  };
}
