import { usageError } from './errors.js';
import { addField, eachField, findField, hasField, type PackedFields, packField } from './fields.js';
import { standFor } from './stand-in.js';

type HeadersInit = ConstructorParameters<typeof Headers>[0];

/**
 * Headers over a packed string: `get`, `has` and `getSetCookie` search it; anything else (iteration, mutation, ...)
 * builds one real Headers, once, to which this object is a façade from then on.
 */
class LazyHeaders {
  readonly #packed: PackedFields;
  #real: Headers | null = null;

  constructor(packed: PackedFields) {
    this.#packed = packed;
  }

  get(name: string): string | null {
    return this.#real === null ? findField(this.#packed, `${name}`) : this.#real.get(name);
  }

  has(name: string): boolean {
    return this.#real === null ? hasField(this.#packed, `${name}`) : this.#real.has(name);
  }

  getSetCookie(): string[] {
    if (this.#real !== null) return this.#real.getSetCookie();
    const cookies: string[] = [];
    eachField(this.#packed, (name, value) => {
      if (name === 'set-cookie') cookies.push(value);
    });
    return cookies;
  }

  forEach(visit: (value: string, name: string, parent: LazyHeaders) => void, receiver?: unknown): void {
    for (const [name, value] of LazyHeaders.realOf(this)) visit.call(receiver, value, name, this);
  }

  static is(value: object): value is LazyHeaders {
    return #packed in value;
  }

  static realOf(headers: LazyHeaders): Headers {
    headers.#real ??= unpackHeaders(headers.#packed);
    return headers.#real;
  }

  static pack(headers: LazyHeaders): PackedFields {
    return headers.#real === null ? headers.#packed : packReal(headers.#real);
  }

  static face(headers: LazyHeaders, real: Headers): void {
    if (headers.#real !== null) replaceAll(real, headers.#real);
    headers.#real = real;
  }
}

standFor(LazyHeaders, Headers, new Headers(), (headers) => LazyHeaders.realOf(headers as LazyHeaders));

/** Headers over `packed`, built in full only when needed. */
export function lazyHeaders(packed: PackedFields): Headers {
  return new LazyHeaders(packed) as unknown as Headers;
}

/**
 * Makes `headers`, if it is lazy, a façade of `real`, so that references handed out earlier stay live. Changes made
 * through `headers` so far are carried over.
 */
export function faceHeaders(headers: Headers, real: Headers): void {
  if (LazyHeaders.is(headers)) LazyHeaders.face(headers, real);
}

/** Appends the packed fields to `headers`. */
export function appendFields(headers: Headers, packed: PackedFields): void {
  eachField(packed, (name, value) => headers.append(name, value));
}

/** A real Headers with the packed fields. Appending is the cheapest way on all runtimes (see own-request.ts). */
export function unpackHeaders(packed: PackedFields): Headers {
  const headers = new Headers();
  appendFields(headers, packed);
  return headers;
}

/**
 * Packs what `new Headers()` takes: Headers, pairs or a record. Names become lower-case, values are trimmed. Throws a
 * TypeError for anything else and for invalid names and values, as the platform does.
 */
export function packHeaders(init: HeadersInit): PackedFields {
  if (init === undefined) return '';
  if (typeof init !== 'object' || init === null) throw notHeaders();
  if (init instanceof Headers) return LazyHeaders.is(init) ? LazyHeaders.pack(init) : packReal(init);
  return Symbol.iterator in init ? packPairs(init as Iterable<unknown>) : packRecord(init);
}

/**
 * Packs anything that has the `forEach` of Headers, also one of another realm or of a polyfill, whose names and values are checked
 * first: they could be anything.
 */
export function packReal(headers: Pick<Headers, 'forEach'>): PackedFields {
  const add = headers instanceof Headers ? addField : packOne;
  let packed = '';
  headers.forEach((value, name) => {
    packed = add(packed, name, value);
  });
  return packed;
}

function packPairs(pairs: Iterable<unknown>): PackedFields {
  let packed = '';
  for (const pair of pairs) {
    if (typeof pair !== 'object' || pair === null || !(Symbol.iterator in pair)) throw notHeaders();
    const [name, value, ...rest] = pair as Iterable<unknown>;
    if (value === undefined || rest.length > 0) throw notHeaders();
    packed = packOne(packed, `${name as string}`, value);
  }
  return packed;
}

function packRecord(record: object): PackedFields {
  let packed = '';
  for (const name of Object.keys(record))
    packed = packOne(packed, name, (record as Record<string, unknown>)[name]);
  return packed;
}

function packOne(packed: PackedFields, name: string, value: unknown): PackedFields {
  return packed + packField(name, `${value as string}`);
}

function notHeaders(): TypeError {
  return usageError('ERR_H3_HEADER', 'headers must be a Headers, a record, or pairs of a name and a value');
}

function replaceAll(target: Headers, source: Headers): void {
  for (const name of [...target.keys()]) target.delete(name);
  for (const [name, value] of source) target.append(name, value);
}
