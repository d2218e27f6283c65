import { usageError } from './errors.js';

/**
 * Header fields as they cross the native border: `name\0value\0name\0value`, `""` if there are none. Names are
 * lower-case, values are byte strings (latin1). Neither can hold a NUL, so the separator needs no escaping.
 */
export type PackedFields = string;

/** Fields of an HTTP/1.1 connection, which HTTP/3 forbids (RFC 9114 §4.2). */
export const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NOT_IN_A_VALUE = /[\0\r\n]|[^\0-\xff]/;
const OUTER_WHITESPACE = /^[\t\n\r ]+|[\t\n\r ]+$/g;

/** Names seen before, in the spelling of the user, with their lower-case form. Full: it stops learning. */
const knownNames = new Map<string, string>();
const KNOWN_NAMES_LIMIT = 256;

/** Whether `name` is a token (RFC 9110 §5.6.2): a legal field name or method. */
export function isToken(name: string): boolean {
  return TOKEN.test(name);
}

/** Lower-case form of a field name. Throws a TypeError if it is no token (RFC 9110 §5.1). */
export function fieldName(name: string): string {
  const known = knownNames.get(name);
  if (known !== undefined) return known;
  if (!isToken(name)) {
    throw usageError('ERR_H3_HEADER', `${JSON.stringify(name)} is not a valid header name`);
  }
  const lower = name.toLowerCase();
  if (knownNames.size < KNOWN_NAMES_LIMIT) knownNames.set(name, lower);
  return lower;
}

/** Normalised value of field `name`, as fetch does it. Throws a TypeError for NUL, CR, LF and for what is no byte string. */
export function fieldValue(name: string, value: string): string {
  const trimmed = hasOuterWhitespace(value) ? value.replace(OUTER_WHITESPACE, '') : value;
  if (NOT_IN_A_VALUE.test(trimmed)) {
    throw usageError(
      'ERR_H3_HEADER',
      `the value of header "${name}" has a character that headers cannot carry (line break, NUL or beyond U+00FF)`,
    );
  }
  return trimmed;
}

function hasOuterWhitespace(value: string): boolean {
  return value.charCodeAt(0) <= 0x20 || value.charCodeAt(value.length - 1) <= 0x20;
}

/** `packed` with one more field at its end. */
export function addField(packed: PackedFields, name: string, value: string): PackedFields {
  return packed === '' ? `${name}\0${value}` : `${packed}\0${name}\0${value}`;
}

/** The value of field `name` (lower-case), several joined with ", ", or null. Allocates nothing but the result. */
export function findField(packed: PackedFields, name: string): string | null {
  let found: string | null = null;
  let start = 0;
  while (start < packed.length) {
    const nameEnd = packed.indexOf('\0', start);
    const valueEnd = endOfValue(packed, nameEnd + 1);
    if (nameEnd - start === name.length && packed.startsWith(name, start)) {
      const value = packed.slice(nameEnd + 1, valueEnd);
      found = found === null ? value : `${found}, ${value}`;
    }
    start = valueEnd + 1;
  }
  return found;
}

function endOfValue(packed: PackedFields, start: number): number {
  const end = packed.indexOf('\0', start);
  return end === -1 ? packed.length : end;
}

/** Whether there is a field `name` (lower-case). */
export function hasField(packed: PackedFields, name: string): boolean {
  return packed !== '' && findField(packed, name) !== null;
}

/** The values of field `name` (lower-case), one for each line. */
export function fieldLines(packed: PackedFields, name: string): string[] {
  const lines: string[] = [];
  eachField(packed, (other, value) => {
    if (other === name) lines.push(value);
  });
  return lines;
}

/** The fields that `keep` says true of. */
export function filterFields(packed: PackedFields, keep: (name: string) => boolean): PackedFields {
  let kept = '';
  eachField(packed, (name, value) => {
    if (keep(name)) kept = addField(kept, name, value);
  });
  return kept;
}

/** Calls `visit` for each field in order. */
export function eachField(packed: PackedFields, visit: (name: string, value: string) => void): void {
  if (packed === '') return;
  const parts = packed.split('\0');
  for (let index = 0; index + 1 < parts.length; index += 2) {
    visit(parts[index] as string, parts[index + 1] as string);
  }
}
