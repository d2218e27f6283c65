import type { NativeConnection } from '../../binding.cjs';
import { describe } from '../errors.js';
import { exporterInput } from '../exporter.js';
import { exposed } from '../exposed.js';
import { addField, hasField, type PackedFields } from '../fields.js';
import { unpackHeaders } from '../headers.js';
import { invalidState, OpenSession } from '../open-session.js';
import { availableProtocols } from '../protocol-list.js';
import {
  sendGroupOf,
  sendOrderOf,
  type WebTransportSendGroup,
  type WebTransportSendOptions,
} from '../send-group.js';
import type { WebTransportDatagrams } from '../session-datagrams.js';
import type { Halves, SessionStream, WebTransportBidirectionalStream } from '../session-streams.js';
import { Settled } from '../settled.js';
import type { WebTransportCloseInfo } from '../webtransport.js';
import { sessionOver, type WebTransportError } from '../webtransport-error.js';
import type { WebTransportReceiveStream, WebTransportSendStream } from '../webtransport-streams.js';
import { RequestUrl } from './request-url.js';
import { leaseClient, type SessionLease } from './session-lease.js';
import { sessionStats, type WebTransportConnectionStats } from './session-stats.js';
import type { RequestOrder, ResponseParts } from './transport.js';
import {
  type ReadOptions,
  readAnticipated,
  readSessionOptions,
  readSessionUrl,
  type WebTransportCongestionControl,
  type WebTransportOptions,
} from './web-transport-options.js';

/** WT_ALPN_ERROR (draft-ietf-webtrans-http3-16 §9.5): the server chose a protocol that was not offered. */
const WT_ALPN_ERROR = 0x0817b3dd;

/** Of `createBidirectionalStream` and `createUnidirectionalStream` (W3C WebTransport §6.11). */
export interface WebTransportSendStreamOptions extends WebTransportSendOptions {
  /** Waits until the server allows one more stream, where else there is a QuotaExceededError. Default false. */
  waitUntilAvailable?: boolean | undefined;
}

type State = 'connecting' | 'connected' | 'closed' | 'failed';

/**
 * A WebTransport session over HTTP/3: the class of browsers (W3C WebTransport §6), so that code written for a page runs
 * unchanged. While it is open, it keeps the process alive.
 *
 * @example
 * const server = createH3Server({
 *   hostname: '127.0.0.1',
 *   routes: [{ method: 'CONNECT', pattern: '/room', webtransport: (session) => session.accept() }],
 * });
 *
 * const value = server.certificateHash;
 * const transport = new WebTransport(new URL('/room', server.url).href, {
 *   serverCertificateHashes: [{ algorithm: 'sha-256', value }],
 * });
 * await transport.ready;
 *
 * transport.close();
 * await server.stop(true);
 */
export class WebTransport {
  static {
    exposed(WebTransport, 'WebTransport');
  }

  readonly #session: OpenSession;
  readonly #ready = new Settled<void>();
  readonly #asked = new AbortController();
  readonly #lease: SessionLease;
  readonly #options: ReadOptions;
  readonly #congestionControl: WebTransportCongestionControl = 'default';
  #state: State = 'connecting';
  #protocol = '';
  #responseHeaders: Headers | null = null;
  #numbers: () => NativeConnection | null = () => null;
  #lastNumbers: NativeConnection | null = null;
  #anticipatedUnidirectional: number | null;
  #anticipatedBidirectional: number | null;

  /** Whether sessions can go over TCP: they cannot. */
  static get supportsReliableOnly(): boolean {
    return false;
  }

  /**
   * Asks for a session. Throws a DOMException `SyntaxError` for a URL that is not absolute, not https or has a fragment, and
   * for protocols that cannot be offered; `NotSupportedError` for hashes with pooling; a TypeError for other options.
   */
  constructor(url: string | URL, options: WebTransportOptions = {}) {
    const target = readSessionUrl(url);
    this.#options = readSessionOptions(options);
    this.#anticipatedUnidirectional = this.#options.anticipatedUnidirectional;
    this.#anticipatedBidirectional = this.#options.anticipatedBidirectional;
    this.#session = new OpenSession(this.#options.readableType);
    this.#lease = leaseClient(this.#options);
    this.#session.onOver(() => this.#over());
    void this.#connect(target);
  }

  /** Resolves when the server accepted the session; rejects with a WebTransportError whose `cause` tells why it is not. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when either side closed the session; rejects with a WebTransportError when it never was, or broke off. */
  get closed(): Promise<WebTransportCloseInfo> {
    return this.#session.closed;
  }

  /** Resolves when the server asks for the session to be wound up. */
  get draining(): Promise<void> {
    return this.#session.draining;
  }

  /** `"supports-unreliable"` once the session is open. */
  get reliability(): 'pending' | 'supports-unreliable' {
    return this.#state === 'connecting' || this.#responseHeaders === null ? 'pending' : 'supports-unreliable';
  }

  /** What became of the wish: there is one algorithm, CUBIC. */
  get congestionControl(): WebTransportCongestionControl {
    return this.#congestionControl;
  }

  /** The application protocol that the server chose; `""`: none. */
  get protocol(): string {
    return this.#protocol;
  }

  /** The header fields of the answer, without `wt-protocol`; null before it is here. */
  get responseHeaders(): Headers | null {
    return this.#responseHeaders;
  }

  /** Unidirectional streams that the server is expected to have open at once; a hint. */
  get anticipatedConcurrentIncomingUnidirectionalStreams(): number | null {
    return this.#anticipatedUnidirectional;
  }

  /** Changes the hint. */
  set anticipatedConcurrentIncomingUnidirectionalStreams(value: number | null) {
    this.#anticipatedUnidirectional = readAnticipated(value);
  }

  /** Bidirectional streams that the server is expected to have open at once; a hint. */
  get anticipatedConcurrentIncomingBidirectionalStreams(): number | null {
    return this.#anticipatedBidirectional;
  }

  /** Changes the hint. */
  set anticipatedConcurrentIncomingBidirectionalStreams(value: number | null) {
    this.#anticipatedBidirectional = readAnticipated(value);
  }

  /** Datagrams, both ways. */
  get datagrams(): WebTransportDatagrams {
    return this.#session.datagrams;
  }

  /** The streams that the server opens, in the order in which they come. */
  get incomingBidirectionalStreams(): ReadableStream<WebTransportBidirectionalStream> {
    return this.#session.incomingBidirectional;
  }

  /** Streams that the server opens and this side reads. */
  get incomingUnidirectionalStreams(): ReadableStream<WebTransportReceiveStream> {
    return this.#session.incomingUnidirectional;
  }

  /** Makes a group of streams, in which their `sendOrder` counts. Throws an InvalidStateError once the session is over. */
  createSendGroup(): WebTransportSendGroup {
    return this.#session.createSendGroup();
  }

  /**
   * Opens a stream, once the session is open. Rejects with an InvalidStateError if it is over, with a QuotaExceededError if the
   * server allows no stream now and nobody waits, with a TypeError for a `sendGroup` of another session.
   */
  async createBidirectionalStream(
    options: WebTransportSendStreamOptions = {},
  ): Promise<WebTransportBidirectionalStream> {
    const { readable, writable } = await this.#open({ read: true, write: true }, options);
    return { readable, writable } as WebTransportBidirectionalStream;
  }

  /** Like {@link createBidirectionalStream}. */
  async createUnidirectionalStream(
    options: WebTransportSendStreamOptions = {},
  ): Promise<WebTransportSendStream> {
    const { writable } = await this.#open({ read: false, write: true }, options);
    return writable as WebTransportSendStream;
  }

  /**
   * Ends the session with all its streams; `reason` is cut at 1,024 bytes of UTF-8. One that is still connecting fails.
   * Idempotent. Throws a TypeError for what is no object.
   */
  close(closeInfo: { closeCode?: number | undefined; reason?: string | undefined } = {}): void {
    const info = readCloseInfo(closeInfo);
    if (this.#state === 'connecting') {
      this.#fail(sessionOver('the session was closed before it was open'));
      return;
    }
    this.#session.close(info, new DOMException('the session was closed', 'AbortError'));
  }

  /** Numbers of its connection. Rejects with an InvalidStateError if the session failed. */
  async getStats(): Promise<WebTransportConnectionStats> {
    if (this.#state === 'connecting') await this.#ready.promise.catch(() => undefined);
    if (this.#state === 'failed') throw invalidState('the session failed');
    const numbers = this.#numbers() ?? this.#lastNumbers;
    this.#lastNumbers = numbers;
    return sessionStats(this.#session, numbers, this.#options.allowPooling);
  }

  /**
   * Keying material of the TLS session for `label` and `context`, of 255 bytes each at most, 1 to 4,096 bytes of it: the server
   * makes the same (draft-ietf-webtrans-http3-16 §4.8), another session never. Waits until the session is open. Rejects with a
   * RangeError for lengths, with an InvalidStateError if the session is over.
   */
  async exportKeyingMaterial(
    label: ArrayBuffer | ArrayBufferView,
    context: ArrayBuffer | ArrayBufferView,
    outputLength: number,
  ): Promise<Uint8Array> {
    const input = exporterInput(label, context, outputLength);
    if (this.#state === 'connecting') {
      await this.#ready.promise.catch(() => {
        throw invalidState('the session is over');
      });
    }
    return this.#session.exportKeyingMaterial(input);
  }

  async #connect(url: URL): Promise<void> {
    try {
      if (this.#options.hashes?.length === 0) {
        throw new TypeError('no entry of serverCertificateHashes is a SHA-256 of 32 bytes');
      }
      const { transport, accepted } = this.#lease.host;
      const order: RequestOrder = {
        method: 'CONNECT',
        url: RequestUrl.of(url),
        fields: this.#fields(),
        body: null,
        signal: this.#asked.signal,
        protocol: 'webtransport',
        session: { session: this.#session, dedicated: !this.#options.allowPooling },
      };
      const parts = await accepted.during(() => transport.send(order));
      this.#answered(parts);
    } catch (cause) {
      if (this.#state === 'connecting') this.#fail(notOpened(cause));
    }
  }

  /** The caller's fields, and what says which dialect and which protocols this side speaks. */
  #fields(): PackedFields {
    const { fields, protocols } = this.#options;
    const { userAgent } = this.#lease.host.options;
    let all = fields;
    if (userAgent !== '' && !hasField(all, 'user-agent')) all = addField(all, 'user-agent', userAgent);
    // draft-ietf-webtrans-http3-02 §3.4: servers of that dialect want it.
    all = addField(all, 'sec-webtransport-http3-draft02', '1');
    if (protocols.length > 0) {
      const list = protocols.map((name) => `"${name.replaceAll(/["\\]/g, '\\$&')}"`);
      all = addField(all, 'wt-available-protocols', list.join(', '));
    }
    return all;
  }

  #answered(parts: ResponseParts): void {
    const { status, fields } = parts;
    if (status < 200 || status > 299) {
      const { body } = parts;
      if (body instanceof ReadableStream) body.cancel().catch(() => undefined);
      throw new TypeError(`the server refused the session with status ${status}`);
    }
    this.#numbers = () => parts.connectionNumbers?.() ?? null;
    this.#lastNumbers = this.#numbers();
    // Closed by the server right behind its answer: it was open for a moment.
    const headers = unpackHeaders(fields);
    const chosen = availableProtocols(headers.get('wt-protocol'))[0] ?? '';
    if (chosen !== '' && !this.#options.protocols.includes(chosen)) {
      parts.abandon?.(WT_ALPN_ERROR);
      throw new TypeError(`the server chose the protocol ${JSON.stringify(chosen)}, which was not offered`);
    }
    this.#protocol = chosen;
    headers.delete('wt-protocol');
    this.#responseHeaders = headers;
    if (this.#state === 'connecting') this.#state = 'connected';
    this.#ready.resolve();
  }

  async #open(halves: Halves, options: WebTransportSendStreamOptions | null): Promise<SessionStream> {
    const sendGroup = sendGroupOf(options?.sendGroup);
    const sendOrder = sendOrderOf(options?.sendOrder ?? 0);
    if (!this.#session.groups.has(sendGroup)) throw new TypeError('sendGroup belongs to another session');
    const wait = Boolean(options?.waitUntilAvailable);
    try {
      if (this.#state === 'connecting') await this.#ready.promise;
      const stream = await this.#session.openStream(halves, { wait, sendGroup, sendOrder });
      if (stream !== null) return stream;
    } catch {
      throw invalidState('the session is over');
    }
    throw new DOMException(
      'the server allows no more streams now: waitUntilAvailable: true waits until it does',
      'QuotaExceededError',
    );
  }

  #fail(error: WebTransportError): void {
    this.#session.end(null, error);
    this.#asked.abort(error);
  }

  /** Closed by either side, broken off, or never open. */
  #over(): void {
    this.#lastNumbers = this.#numbers() ?? this.#lastNumbers;
    const { gone } = this.#session;
    // Whether it broke off, the promise tells; the state must be right before anybody hears of it.
    this.#state = this.#session.wasClosed ? 'closed' : 'failed';
    if (this.#state === 'failed') this.#ready.reject(gone);
    this.#lease.giveBack();
  }
}

/** As WebIDL converts a dictionary, an unsigned long and a USVString. */
function readCloseInfo(given: unknown): { closeCode: number; reason: string } {
  if (given !== null && typeof given !== 'object' && typeof given !== 'function') {
    throw new TypeError(
      `what a session is closed with is ${describe(given)}; expected { closeCode, reason }`,
    );
  }
  const { closeCode = 0, reason = '' } = (given ?? {}) as { closeCode?: unknown; reason?: unknown };
  return { closeCode: Number(closeCode) >>> 0, reason: wellFormed(`${reason as string}`) };
}

/** A USVString; `String.prototype.toWellFormed` is in Node 20 and later, and unknown to its types. */
function wellFormed(text: string): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

function notOpened(cause: unknown): WebTransportError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const error = sessionOver(`the session was not opened: ${reason}`);
  Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true });
  return error;
}
