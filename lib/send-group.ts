import { exposed } from './exposed.js';
import type { WebTransportSendStreamStats } from './webtransport-streams.js';

/** How streams and writers of datagrams are sent (W3C WebTransport §6.10). */
export interface WebTransportSendOptions {
  /** The group in which `sendOrder` counts; one of the same session. Default null: the streams without one. */
  sendGroup?: WebTransportSendGroup | null | undefined;
  /** Of a group, streams with a higher one are sent first, those with the same one take turns. Default 0. */
  sendOrder?: number | undefined;
}

/** What a group needs of its session. */
export interface SendGroupSource {
  stats(): WebTransportSendStreamStats;
}

/**
 * Streams of a session among which `sendOrder` counts (W3C WebTransport §10). Groups, and the streams without one, share the
 * path as equals: an order says nothing about another group's.
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
 * const video = transport.createSendGroup();
 * const keyFrames = await transport.createUnidirectionalStream({ sendGroup: video, sendOrder: 2 });
 * const otherFrames = await transport.createUnidirectionalStream({ sendGroup: video, sendOrder: 1 });
 * await Promise.all([keyFrames.close(), otherFrames.close()]);
 *
 * transport.close();
 * await server.stop(true);
 */
export class WebTransportSendGroup {
  static {
    exposed(WebTransportSendGroup, 'WebTransportSendGroup');
  }

  readonly #source: SendGroupSource;

  /** Made by `createSendGroup()` of a session. */
  constructor(source: SendGroupSource) {
    if (typeof source?.stats !== 'function') {
      throw new TypeError('a WebTransportSendGroup is made by createSendGroup() of a session');
    }
    this.#source = source;
  }

  /** The counters of its streams together, also of those that have ended. */
  async getStats(): Promise<WebTransportSendStreamStats> {
    return this.#source.stats();
  }
}

/** What a group counts of a stream. */
interface Counted {
  readonly bytesWritten: number;
}

/** One group, as its session has it. */
class Members implements SendGroupSource {
  readonly id: number;
  readonly #streams = new Set<Counted>();
  #endedBytes = 0;

  constructor(id: number) {
    this.id = id;
  }

  add(stream: Counted): void {
    this.#streams.add(stream);
  }

  remove(stream: Counted): void {
    this.#streams.delete(stream);
  }

  /** `stream` has ended: what it sent still counts, without keeping it. */
  end(stream: Counted): void {
    if (this.#streams.delete(stream)) this.#endedBytes += stream.bytesWritten;
  }

  stats(): WebTransportSendStreamStats {
    let bytesWritten = this.#endedBytes;
    for (const stream of this.#streams) bytesWritten += stream.bytesWritten;
    return { bytesWritten };
  }
}

/** The groups of one session. */
export class SendGroups {
  readonly #members = new WeakMap<WebTransportSendGroup, Members>();
  #made = 0;

  create(): WebTransportSendGroup {
    this.#made += 1;
    const members = new Members(this.#made);
    const group = new WebTransportSendGroup(members);
    this.#members.set(group, members);
    return group;
  }

  /** The number of `group` for the native part; 0: none. */
  idOf(group: WebTransportSendGroup | null): number {
    return group === null ? 0 : (this.#members.get(group)?.id ?? 0);
  }

  /** Whether `group` is one of this session, or none. */
  has(group: WebTransportSendGroup | null): boolean {
    return group === null || this.#members.has(group);
  }

  /** `stream` changes its group. */
  move(stream: Counted, from: WebTransportSendGroup | null, to: WebTransportSendGroup | null): void {
    if (from !== null) this.#members.get(from)?.remove(stream);
    if (to !== null) this.#members.get(to)?.add(stream);
  }

  /** `stream` has ended. */
  end(stream: Counted, group: WebTransportSendGroup | null): void {
    if (group !== null) this.#members.get(group)?.end(stream);
  }
}

/** `value` as WebIDL's nullable interface. Throws a TypeError for anything else. */
export function sendGroupOf(value: unknown): WebTransportSendGroup | null {
  if (value === undefined || value === null) return null;
  if (value instanceof WebTransportSendGroup) return value;
  throw new TypeError('sendGroup is no WebTransportSendGroup: createSendGroup() of the session makes one');
}

/** Another session's group cannot be assigned (W3C WebTransport §4.3 and §9.1). */
export function foreignGroup(): DOMException {
  return new DOMException('sendGroup belongs to another session', 'InvalidStateError');
}

/** Modulus of a `long long`. */
const LONG_LONG = 2 ** 64;

/** `value` as WebIDL's `long long` takes it. Throws a TypeError for what is no number. */
export function sendOrderOf(value: unknown): number {
  if (typeof value === 'symbol' || typeof value === 'bigint')
    throw new TypeError(`sendOrder is a ${typeof value}; expected a number`);
  const number = Math.trunc(Number(value));
  // Neither -0 nor what is no number.
  if (!Number.isFinite(number) || number === 0) return 0;
  if (Math.abs(number) < LONG_LONG / 2) return number;
  return Number(BigInt.asIntN(64, BigInt(number)));
}
