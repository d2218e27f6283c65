import { builtin } from './builtin.js';
import { describe, usageError } from './errors.js';

/** Longest name for which a suggestion is sought: bounds the work on hostile input. */
const LONGEST_SUGGESTED = 40;
/** Edits by which a mistyped name may differ from the one that is suggested. */
const MAX_EDITS = 2;

/** `value` as an object with string keys. Throws a TypeError if it is none. */
export function checkObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw usageError('ERR_H3_OPTION_TYPE', `${what} is ${describe(value)}; expected an object`);
}

/** Throws a TypeError if `object` has a key that is not among `known`, with the nearest known one as a suggestion. */
export function checkKeys(object: object, known: readonly string[], what: string): void {
  for (const key of Object.keys(object)) {
    if (known.includes(key)) continue;
    const nearest = suggestion(key, known);
    const advice = nearest === undefined ? `known are ${known.join(', ')}` : `did you mean "${nearest}"?`;
    throw usageError('ERR_H3_OPTION_UNKNOWN', `${what} has no property ${JSON.stringify(key)}: ${advice}`);
  }
}

/** What `check` makes of an option; undefined if it was not given. */
export function optional<Value>(value: unknown, check: (value: unknown) => Value): Value | undefined {
  return value === undefined ? undefined : check(value);
}

/** `value` as an integer from `least` to `most`. Throws a TypeError or RangeError if it is none. */
export function checkInteger(value: unknown, name: string, least: number, most: number): number {
  const range = `an integer from ${least} to ${most}`;
  if (typeof value !== 'number') {
    throw usageError('ERR_H3_OPTION_TYPE', `option "${name}" is ${describe(value)}; expected ${range}`);
  }
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw usageError('ERR_H3_OPTION_RANGE', `option "${name}" is ${value}; expected ${range}`);
}

/** `value` as a string that is not empty. Throws a TypeError if it is none. */
export function checkText(value: unknown, name: string, expected: string): string {
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
  const given = typeof value === 'string' ? JSON.stringify(value) : describe(value);
  throw usageError('ERR_H3_OPTION_TYPE', `option "${name}" is ${given}; expected ${expected}`);
}

/** `value` as true or false. Throws a TypeError if it is neither. */
export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw usageError('ERR_H3_OPTION_TYPE', `option "${name}" is ${describe(value)}; expected true or false`);
}

/** `value` as one of `choices`. Throws a TypeError if it is none of them. */
export function checkChoice<const Choice extends string>(
  value: unknown,
  name: string,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const given = typeof value === 'string' ? JSON.stringify(value) : describe(value);
  const expected = choices.map((choice) => JSON.stringify(choice)).join(' or ');
  throw usageError('ERR_H3_OPTION_TYPE', `option "${name}" is ${given}; expected ${expected}`);
}

/** `value` as the path of a folder that is there. Throws a TypeError if it is none. */
export function checkFolder(value: unknown, name: string): string {
  const path = checkText(value, name, 'the path of a folder');
  let problem: string;
  try {
    if (builtin('node:fs').statSync(path).isDirectory()) return path;
    problem = 'it is no folder';
  } catch (cause) {
    problem = cause instanceof Error ? cause.message : String(cause);
  }
  throw usageError('ERR_H3_OPTION_FILE', `option "${name}": cannot use "${path}": ${problem}`);
}

/** `value` as a function. Throws a TypeError if it is none. */
export function checkFunction<Callback>(value: unknown, name: string): Callback {
  if (typeof value === 'function') return value as Callback;
  throw usageError('ERR_H3_OPTION_TYPE', `option "${name}" is ${describe(value)}; expected a function`);
}

function suggestion(key: string, known: readonly string[]): string | undefined {
  if (key.length > LONGEST_SUGGESTED) return undefined;
  let best: string | undefined;
  let fewest = MAX_EDITS + 1;
  for (const candidate of known) {
    const edits = distance(key.toLowerCase(), candidate.toLowerCase());
    if (edits < fewest) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}

/** Levenshtein distance: insertions, deletions and substitutions between `from` and `to`. */
function distance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const substituted = (previous[column - 1] as number) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(
        Math.min(substituted, (previous[column] as number) + 1, (current[column - 1] as number) + 1),
      );
    }
    previous = current;
  }
  return previous[to.length] as number;
}
