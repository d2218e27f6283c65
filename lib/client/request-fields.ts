import { addField, findField, hasField, type PackedFields } from '../fields.js';
import { acceptedCodings } from './content-coding.js';
import { badRequest } from './failure.js';
import type { ValidatedClientOptions } from './options.js';
import type { OpenedBody } from './request-body.js';

/** Methods for which "no body" is said in a field (Fetch §4.6 step 8.8). */
const EXPECT_LENGTH: ReadonlySet<string> = new Set(['POST', 'PUT']);

const STANDARD = new WeakMap<ValidatedClientOptions, PackedFields>();

/** What the fields of a request depend on beside those that the caller gave. */
export interface FieldsContext {
  readonly method: string;
  readonly body: OpenedBody | null;
  /** The request asks for a tunnel: its content is not one with codings. */
  readonly tunnel: boolean;
  readonly options: ValidatedClientOptions;
}

/** The fields that go out: the caller's, and those that fetch adds (Fetch §4.6, "HTTP-network-or-cache fetch"). */
export function requestFields(given: PackedFields, context: FieldsContext): PackedFields {
  const { method, body, tunnel, options } = context;
  if (given === '' && body === null && !tunnel && !EXPECT_LENGTH.has(method)) return standardFields(options);
  return completed(given, context);
}

/** Those of a request for which nothing was given, made once for each client. */
function standardFields(options: ValidatedClientOptions): PackedFields {
  let fields = STANDARD.get(options);
  if (fields === undefined) {
    fields = completed('', { method: 'GET', body: null, tunnel: false, options });
    STANDARD.set(options, fields);
  }
  return fields;
}

function completed(given: PackedFields, { method, body, tunnel, options }: FieldsContext): PackedFields {
  let fields = withField(given, 'accept', '*/*');
  fields = withField(fields, 'user-agent', options.userAgent);
  if (options.decompress && !tunnel) {
    // Parts of compressed content could not be undone (Fetch §4.6 step 8.19).
    const codings = hasField(given, 'range') ? 'identity' : acceptedCodings();
    fields = withField(fields, 'accept-encoding', codings);
  }
  if (body !== null) {
    fields = withField(fields, 'content-type', body.type);
    if (body.length !== null) fields = withLength(fields, body.length);
  } else if (EXPECT_LENGTH.has(method)) fields = withLength(fields, 0);
  return fields;
}

/** With one more field, unless it is there or there is nothing to say. */
function withField(fields: PackedFields, name: string, value: string): PackedFields {
  return value === '' || hasField(fields, name) ? fields : addField(fields, name, value);
}

/** RFC 9110 §8.6: a length of the caller's own must be the true one. */
function withLength(fields: PackedFields, length: number): PackedFields {
  const told = findField(fields, 'content-length');
  if (told === null) return addField(fields, 'content-length', `${length}`);
  if (Number(told) === length) return fields;
  throw badRequest(
    `content-length is ${told}, but the body has ${length} bytes: leave it out, it is added automatically`,
  );
}
