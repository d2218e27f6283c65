import { usageError } from './errors.js';

/** One member of a list of strings, with parameters that mean nothing (RFC 9651 §3.1 and §3.3.3). */
const MEMBER =
  /^[ \t]*"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"((?:;[ ]*[a-z*][a-z0-9_\-.*]*(?:=[^,;]*)?)*)[ \t]*/;

/**
 * The protocols in `wt-available-protocols`, a Structured Field List of Strings (draft-ietf-webtrans-http3-16 §3.4). A field
 * that is anything else is ignored as a whole.
 */
export function availableProtocols(field: string | null): string[] {
  if (field === null) return [];
  const protocols: string[] = [];
  for (let rest = field; ; ) {
    const [whole, name] = MEMBER.exec(rest) ?? [];
    if (whole === undefined || name === undefined) return [];
    protocols.push(name.replaceAll(/\\(["\\])/g, '$1'));
    rest = rest.slice(whole.length);
    if (rest === '') return protocols;
    if (!rest.startsWith(',')) return [];
    rest = rest.slice(1);
  }
}

/** `protocol` as the value of `wt-protocol`. Throws a TypeError unless the client offered it. */
export function protocolField(protocol: string, offered: readonly string[]): string {
  if (offered.includes(protocol)) return `"${protocol.replaceAll(/["\\]/g, '\\$&')}"`;
  const list = offered.length === 0 ? 'none' : offered.map((name) => JSON.stringify(name)).join(', ');
  throw usageError(
    'ERR_H3_HEADER',
    `accept(): protocol ${JSON.stringify(protocol)} was not offered; offered: ${list}`,
  );
}
