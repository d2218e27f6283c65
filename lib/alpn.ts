import { describe, usageError } from './errors.js';

/** Checks option `option`: names as TLS has them, 1 to 255 bytes each (RFC 7301 §3.1), without `h3`. Throws a TypeError. */
export function readAlpn(value: unknown, option: string): string[] {
  if (!Array.isArray(value)) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "${option}" is ${describe(value)}; expected an array of strings`,
    );
  }
  for (const name of value as unknown[]) {
    if (name === 'h3') {
      throw usageError(
        'ERR_H3_OPTION_TYPE',
        `option "${option}" has "h3", which is HTTP/3 and needs no option: remove it`,
      );
    }
    if (typeof name === 'string' && /^[\x21-\x7e]{1,255}$/.test(name)) continue;
    const wrong = typeof name === 'string' ? JSON.stringify(name) : describe(name);
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "${option}" has ${wrong}; expected 1 to 255 ASCII characters without spaces`,
    );
  }
  return [...new Set(value as string[])];
}
