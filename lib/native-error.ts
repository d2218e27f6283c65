import {
  ERROR_CODES,
  H3Error,
  type H3ErrorCode,
  type UsageError,
  type UsageErrorCode,
  usageError,
} from './errors.js';

/**
 * Turns what the native part threw into the error that users see: native errors carry a code of the table and a
 * message, and may carry `remote`, `wireCode` and `cause`. Anything else becomes `ERR_H3_INTERNAL` with the original as `cause`.
 */
export function fromNative(error: unknown): H3Error | UsageError {
  const { code, message, remote, wireCode, cause } = Object(error) as Record<string, unknown>;
  const text = typeof message === 'string' ? message : String(error);
  if (typeof code !== 'string' || !isErrorCode(code)) {
    return new H3Error('ERR_H3_INTERNAL', text, { cause: error });
  }
  if (isUsageCode(code)) return usageError(code, text);
  return new H3Error(code, text, {
    remote: remote === true,
    ...(cause !== undefined && { cause }),
    wireCode: typeof wireCode === 'number' || typeof wireCode === 'bigint' ? wireCode : undefined,
  });
}

function isErrorCode(code: string): code is H3ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

function isUsageCode(code: H3ErrorCode): code is UsageErrorCode {
  return ERROR_CODES[code].kind !== 'H3Error';
}
