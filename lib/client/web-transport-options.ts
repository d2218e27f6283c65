import { isArrayBuffer } from '../body.js';
import { describe } from '../errors.js';
import { hasField, type PackedFields } from '../fields.js';
import { H3Client } from './client.js';
import type { H3ClientOptions } from './options.js';
import { readFields } from './outgoing-request.js';

/** What sending is optimised for. */
export type WebTransportCongestionControl = 'default' | 'throughput' | 'low-latency';

/** A certificate by its hash. One of another algorithm than `"sha-256"` is ignored. */
export interface WebTransportHash {
  /** `"sha-256"`. */
  algorithm: string;
  /** The hash, 32 bytes. */
  value: ArrayBuffer | ArrayBufferView;
}

/** Options of {@link WebTransport}: those of W3C WebTransport §6.9, and `client`. Unknown ones are ignored, as in browsers. */
export interface WebTransportOptions {
  /** Lets the session share a connection with others to the same origin. Default false: it has one of its own. */
  allowPooling?: boolean | undefined;
  /** Wants a connection that carries datagrams. Every one of this package does. Default false. */
  requireUnreliable?: boolean | undefined;
  /** Header fields of the request; `origin` is sent only if it is among them. Default: none. */
  headers?: ConstructorParameters<typeof Headers>[0];
  /**
   * SHA-256 of the certificates (DER) that are trusted, whoever issued them: ECDSA P-256, valid for 14 days at most. Not with
   * `allowPooling`. Default: none, the authorities decide.
   */
  serverCertificateHashes?: Iterable<WebTransportHash> | undefined;
  /** A wish; what {@link WebTransport.congestionControl} says is what became of it. Default `"default"`. */
  congestionControl?: WebTransportCongestionControl | undefined;
  /** Streams that the server may open at once, as a hint; it changes nothing here. Default null. */
  anticipatedConcurrentIncomingUnidirectionalStreams?: number | null | undefined;
  /** The same of bidirectional streams. */
  anticipatedConcurrentIncomingBidirectionalStreams?: number | null | undefined;
  /** Application protocols, in order of preference; the server chooses one. Default: none. */
  protocols?: Iterable<string> | undefined;
  /** `"bytes"`: `datagrams.readable` takes the buffers of a BYOB reader. Default: it gives chunks. */
  datagramsReadableType?: 'bytes' | undefined;
  /**
   * How servers are reached, which a browser does not let a page say: options of `H3Client` (`ca`, `insecure`, …), or an
   * H3Client, whose trust, connections and `unref()` the session then shares. Not part of W3C WebTransport. Default: the
   * defaults of H3Client.
   */
  client?: H3Client | H3ClientOptions | undefined;
}

/** The options after validation. */
export interface ReadOptions {
  readonly allowPooling: boolean;
  readonly fields: PackedFields;
  /** Hashes of 32 bytes; null: none were given. Empty: none of them can be met. */
  readonly hashes: readonly Uint8Array[] | null;
  readonly anticipatedUnidirectional: number | null;
  readonly anticipatedBidirectional: number | null;
  readonly protocols: readonly string[];
  readonly readableType: 'bytes' | undefined;
  readonly client: H3Client | H3ClientOptions | undefined;
}

/** Bytes of a SHA-256. */
const HASH_BYTES = 32;
/** The most characters of the name of a protocol (W3C WebTransport §6.2). */
const MOST_PROTOCOL_CHARACTERS = 512;
const CONGESTION_CONTROLS: readonly unknown[] = ['default', 'throughput', 'low-latency'];
/** What a string of a structured field can hold (RFC 9651 §3.3.3). */
const STRING = /^[\x20-\x7e]+$/;

/** The URL of a session. Throws a TypeError if there is none, a SyntaxError as W3C WebTransport §6.2 says. */
export function readSessionUrl(input: unknown): URL {
  if (input === undefined)
    throw new TypeError('WebTransport needs a URL, such as "https://localhost:4433/room"');
  const text = `${input as string}`;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw syntaxError(`${JSON.stringify(text)} is no absolute URL`);
  }
  if (url.protocol !== 'https:') {
    throw syntaxError(`the URL begins with ${url.protocol} and WebTransport is https: only`);
  }
  // An empty fragment is one too, and `hash` does not tell.
  if (url.href.includes('#')) throw syntaxError('the URL has a fragment: remove it');
  return url;
}

/** Checks the options as WebIDL converts a dictionary. Throws a TypeError, or a DOMException as W3C WebTransport §6.2 says. */
export function readSessionOptions(options: unknown): ReadOptions {
  if (
    options !== undefined &&
    options !== null &&
    typeof options !== 'object' &&
    typeof options !== 'function'
  ) {
    throw new TypeError(`the options of WebTransport are ${describe(options)}; expected an object`);
  }
  const given = (options ?? {}) as WebTransportOptions;
  const allowPooling = Boolean(given.allowPooling);
  const hashes = readHashes(given.serverCertificateHashes);
  checkChoices(given);
  const protocols = readProtocols(given.protocols);
  const anticipatedUnidirectional = readAnticipated(given.anticipatedConcurrentIncomingUnidirectionalStreams);
  const anticipatedBidirectional = readAnticipated(given.anticipatedConcurrentIncomingBidirectionalStreams);
  if (allowPooling && hashes !== null) {
    const message = 'serverCertificateHashes need a connection of their own: leave allowPooling out';
    throw new DOMException(message, 'NotSupportedError');
  }
  if (hashes !== null && given.client instanceof H3Client) {
    const message = 'an H3Client decides itself whom it trusts: give its options serverCertificateHashes';
    throw new DOMException(message, 'NotSupportedError');
  }
  return {
    allowPooling,
    fields: readSessionFields(given.headers),
    hashes,
    anticipatedUnidirectional,
    anticipatedBidirectional,
    protocols,
    readableType: given.datagramsReadableType,
    client: given.client,
  };
}

/** `value` as an unsigned short, or null (WebIDL [EnforceRange]). Throws a TypeError. */
export function readAnticipated(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  const count = Math.trunc(Number(value));
  if (count >= 0 && count <= 0xffff) return count;
  throw new TypeError(`a number of anticipated streams is ${String(value)}; expected 0 to 65,535, or null`);
}

function checkChoices({ congestionControl, datagramsReadableType }: WebTransportOptions): void {
  if (congestionControl !== undefined && !CONGESTION_CONTROLS.includes(congestionControl)) {
    throw new TypeError(
      `congestionControl is ${describe(congestionControl)}; expected "default", "throughput" or "low-latency"`,
    );
  }
  if (datagramsReadableType !== undefined && datagramsReadableType !== 'bytes') {
    throw new TypeError(`datagramsReadableType is ${describe(datagramsReadableType)}; expected "bytes"`);
  }
}

function readHashes(given: unknown): Uint8Array[] | null {
  const entries = sequence<WebTransportHash>(given, 'serverCertificateHashes');
  if (entries.length === 0) return null;
  const hashes: Uint8Array[] = [];
  for (const entry of entries) {
    const { algorithm, value } = entry ?? {};
    if (algorithm === undefined) throw new TypeError('an entry of serverCertificateHashes has no algorithm');
    const bytes = bytesOf(value);
    // W3C WebTransport §6.9: what is not known is ignored; it can match nothing.
    if (`${algorithm}`.toLowerCase() === 'sha-256' && bytes.byteLength === HASH_BYTES) hashes.push(bytes);
  }
  return hashes;
}

function bytesOf(value: unknown): Uint8Array {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  }
  if (isArrayBuffer(value)) return new Uint8Array(value).slice();
  throw new TypeError(`the value of a certificate hash is ${describe(value)}; expected bytes`);
}

function readProtocols(given: unknown): string[] {
  const protocols = sequence<unknown>(given, 'protocols').map((name) => `${name as string}`);
  for (const [index, name] of protocols.entries()) {
    if (!STRING.test(name) || name.length > MOST_PROTOCOL_CHARACTERS) {
      throw syntaxError(`protocol ${JSON.stringify(name)}: expected 1 to 512 printable ASCII characters`);
    }
    if (protocols.indexOf(name) !== index)
      throw syntaxError(`protocol ${JSON.stringify(name)} is there twice`);
  }
  return protocols;
}

function readSessionFields(headers: WebTransportOptions['headers']): PackedFields {
  const fields = readFields(headers);
  if (hasField(fields, 'wt-available-protocols')) {
    throw new TypeError('the header "wt-available-protocols" is made of option "protocols"');
  }
  return fields;
}

function sequence<Item>(given: unknown, name: string): Item[] {
  if (given === undefined) return [];
  if (typeof given === 'object' && given !== null && Symbol.iterator in given)
    return [...(given as Iterable<Item>)];
  throw new TypeError(`${name} is ${describe(given)}; expected an array`);
}

function syntaxError(message: string): DOMException {
  return new DOMException(message, 'SyntaxError');
}
