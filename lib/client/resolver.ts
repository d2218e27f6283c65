import { builtin } from '../builtin.js';
import { H3Error } from '../errors.js';
import type { ValidatedClientOptions } from './options.js';
import { unlessAborted } from './unless-aborted.js';

/**
 * The addresses that the program's own resolver has for `host`; null: there is no resolver, or `host` is an address. Rejects
 * with ERR_H3_CLIENT_CONNECT_TIMEOUT if that takes longer than `connectTimeoutMs`, with the reason of the first of `signals`
 * that aborts, and with what the resolver throws.
 */
export async function resolveHost(
  host: string,
  { resolve, limits }: Pick<ValidatedClientOptions, 'resolve' | 'limits'>,
  signals: readonly (AbortSignal | null | undefined)[],
): Promise<readonly string[] | null> {
  if (resolve === undefined || builtin('node:net').isIP(host) !== 0) return null;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(tooLate(host, limits.connectTimeoutMs)), limits.connectTimeoutMs);
  const given = signals.filter((signal) => signal !== null && signal !== undefined);
  const over = AbortSignal.any([...given, late.signal]);
  try {
    over.throwIfAborted();
    const found = await unlessAborted(resolve(host), over);
    return typeof found === 'string' ? [found] : [...found];
  } finally {
    clearTimeout(timer);
  }
}

function tooLate(host: string, ms: number): H3Error {
  const message = `option "resolve" named no address of ${host} within ${ms} ms`;
  return new H3Error('ERR_H3_CLIENT_CONNECT_TIMEOUT', message);
}
