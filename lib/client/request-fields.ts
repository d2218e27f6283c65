import { acceptedCodings } from './content-coding.js';
import { badRequest } from './failure.js';
import type { ValidatedClientOptions } from './options.js';
import type { OpenedBody } from './request-body.js';
import type { FieldPair } from './transport.js';

/** Methods for which "no body" is said in a field (Fetch §4.6 step 8.8). */
const EXPECT_LENGTH: ReadonlySet<string> = new Set(['POST', 'PUT']);

/** What the fields of a request depend on beside those that the caller gave. */
export interface FieldsContext {
  readonly method: string;
  readonly body: OpenedBody | null;
  /** The request asks for a tunnel: its content is not one with codings. */
  readonly tunnel: boolean;
  readonly options: ValidatedClientOptions;
}

/** The fields that go out: the caller's, and those that fetch adds (Fetch §4.6, "HTTP-network-or-cache fetch"). */
export function requestFields(
  given: readonly FieldPair[],
  { method, body, tunnel, options }: FieldsContext,
): FieldPair[] {
  const fields = [...given];
  const add = (name: string, value: string): void => {
    if (value !== '' && !fields.some(([other]) => other === name)) fields.push([name, value]);
  };
  add('accept', '*/*');
  add('user-agent', options.userAgent);
  const ranged = fields.some(([name]) => name === 'range');
  // Parts of compressed content could not be undone (Fetch §4.6 step 8.19).
  if (options.decompress && !tunnel) add('accept-encoding', ranged ? 'identity' : acceptedCodings());
  if (body !== null) {
    add('content-type', body.type);
    if (body.length !== null) setLength(fields, body.length);
  } else if (EXPECT_LENGTH.has(method)) setLength(fields, 0);
  return fields;
}

/** RFC 9110 §8.6: a length of the caller's own must be the true one. */
function setLength(fields: FieldPair[], length: number): void {
  const told = fields.find(([name]) => name === 'content-length');
  if (told === undefined) fields.push(['content-length', `${length}`]);
  else if (Number(told[1]) !== length) {
    throw badRequest(
      `content-length is ${told[1]}, but the body has ${length} bytes: leave it out, it is added automatically`,
    );
  }
}
