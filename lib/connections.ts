import type { NativeConnection, NativeServer } from '../binding.cjs';
import { DatagramOutbox, eachDatagram, hexOf, QuicConnection } from './datagrams.js';
import { connectionClose, connectionOpen, watchesConnections } from './diagnostics.js';
import { describe, usageError } from './errors.js';
import type { Logger } from './logger.js';
import type { ConnectionHooks } from './options.js';
import type { H3Server } from './server.js';
import { UnreadDatagrams } from './unread-datagrams.js';

/** The connections of a server that somebody wants to hear of: those of a server without such hooks are not known here. */
export class Connections {
  /** Datagrams whose connection was over when their turn came. */
  readonly #late = new UnreadDatagrams('quic');
  readonly outbox = new DatagramOutbox('quic');
  readonly #hooks: ConnectionHooks;
  readonly #logger: Logger;
  /** How often a hook threw or rejected. */
  errors = 0n;
  readonly #inbox: Uint32Array;
  readonly #byGeneration = new Map<number, QuicConnection>();
  readonly #byId = new Map<string, QuicConnection>();
  #native: NativeServer | null = null;
  #server: H3Server | null = null;

  /** `inbox` has the numbers of a batch while a hook runs. */
  constructor(hooks: ConnectionHooks, logger: Logger, inbox: Uint32Array) {
    this.#hooks = hooks;
    this.#logger = logger;
    this.#inbox = inbox;
  }

  /** Whether anybody wants to hear of connections. */
  static wanted({ quicDatagram, onConnection, onConnectionClose }: ConnectionHooks): boolean {
    return (
      quicDatagram !== null || onConnection !== null || onConnectionClose !== null || watchesConnections()
    );
  }

  connect(native: NativeServer, server: H3Server): void {
    this.#native = native;
    this.#server = server;
    this.outbox.connect(native.exchanges);
    this.#late.connect(native.exchanges);
  }

  opened(info: NativeConnection): void {
    const connection = new QuicConnection(this.#native as NativeServer, this.outbox, info);
    this.#byGeneration.set(info.generation, connection);
    this.#byId.set(connection.connectionIdHex, connection);
    if (connectionOpen.hasSubscribers) connectionOpen.publish({ server: this.#server, connection });
    this.#call('onConnection', () => this.#hooks.onConnection?.(connection, this.#server as H3Server));
  }

  closed(generation: number, remote: boolean, code: number | null): void {
    const connection = this.#byGeneration.get(generation);
    if (connection === undefined) return;
    this.#byGeneration.delete(generation);
    this.#byId.delete(connection.connectionIdHex);
    connection.end();
    const cause = { remote, code };
    if (connectionClose.hasSubscribers) {
      connectionClose.publish({ server: this.#server, connection, cause });
    }
    this.#call('onConnectionClose', () =>
      this.#hooks.onConnectionClose?.(connection, cause, this.#server as H3Server),
    );
  }

  /** Hands the datagrams of a turn to their hook. */
  take(count: number, bytes: Uint8Array): void {
    eachDatagram(count, this.#inbox, bytes, (slot, generation, payload) => {
      const connection = this.#byGeneration.get(generation);
      if (connection === undefined) {
        this.#late.add(slot, generation, 1);
        return;
      }
      this.#call('quicDatagram', () => this.#hooks.quicDatagram?.(payload, connection));
    });
    this.#late.flush();
    this.outbox.flush();
  }

  /** Sends to the connection with this id; false if it is not there or the datagram is too large. */
  send(connectionId: unknown, data: Uint8Array): boolean {
    const id = connectionId instanceof Uint8Array ? hexOf(connectionId) : connectionId;
    if (typeof id !== 'string') {
      throw usageError(
        'ERR_H3_DATAGRAM',
        `the connection id is ${describe(connectionId)}; expected its 16 bytes, or their hexadecimal`,
      );
    }
    return this.#byId.get(id)?.sendReply(data) ?? false;
  }

  /** A hook that throws or rejects must not take its neighbours with it. */
  #call(name: string, hook: () => unknown): void {
    try {
      const result = hook();
      if (result instanceof Promise) result.catch((error: unknown) => this.#log(name, error));
    } catch (error) {
      this.#log(name, error);
    }
  }

  #log(name: string, error: unknown): void {
    this.errors += 1n;
    this.#logger.error(`trilane: ${name} failed:`, error);
  }
}
