import { usageError } from '../errors.js';

/** A network error as fetch shows it (Fetch §5.6): `cause` says what happened. */
export function fetchFailed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause });
}

/** The error of a body that ended early, as reading it shows it: `cause` says what happened. */
export function terminated(cause: unknown): TypeError {
  return new TypeError('terminated', { cause });
}

/** A request that cannot be one. */
export function badRequest(message: string, cause?: unknown): TypeError {
  return usageError('ERR_H3_CLIENT_REQUEST', message, cause);
}

/** For promises whose rejection is somebody else's to handle, or nobody's. */
export function ignore(): void {}
