import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { reportChecks } from './report.js';

/** The protocol of connections that have raw datagrams only. */
export const RAW_ALPN = 'trilane-raw';

/** A QUIC connection with datagrams, of a stack that nobody of this project wrote. */
export interface ForeignConnection {
  /** The most bytes that a datagram can have. */
  readonly maxDatagramSize: number;
  send(data: Uint8Array): Promise<unknown>;
  /** The next datagram that comes. */
  receive(): Promise<Uint8Array>;
  close(): Promise<unknown>;
}

const MANY = 100;
/** Time until datagrams are sent again, in milliseconds: they may be lost. */
const RESEND_MS = 100;

const CHECKS: Readonly<Record<string, (open: () => Promise<ForeignConnection>) => Promise<void>>> = {
  async [`${MANY} datagrams there and back`](open) {
    const connection = await open();
    await echoed(
      connection,
      Array.from({ length: MANY }, (_, n) => Uint8Array.of(n)),
    );
    await connection.close();
  },

  async 'the smallest and the largest datagram'(open) {
    const connection = await open();
    assert.ok(connection.maxDatagramSize >= 1000, `at most ${connection.maxDatagramSize} bytes`);
    await echoed(connection, [
      Uint8Array.of(7),
      Uint8Array.from({ length: connection.maxDatagramSize }, (_, at) => at % 251),
    ]);
    await connection.close();
  },

  async 'ten connections at once'(open) {
    const connections = await Promise.all(Array.from({ length: 10 }, open));
    await Promise.all(connections.map((connection, n) => echoed(connection, [Uint8Array.of(n, n)])));
    await Promise.all(connections.map((connection) => connection.close()));
  },

  async 'a connection after one that was closed'(open) {
    for (let n = 0; n < 10; n++) {
      const connection = await open();
      await echoed(connection, [Uint8Array.of(n)]);
      await connection.close();
    }
  },
};

/** How many lines `runRawChecks` prints. */
export const RAW_CHECKS: number = Object.keys(CHECKS).length;

/** Runs every check against connections that `open` makes, and prints a line for each. */
export async function runRawChecks(open: () => Promise<ForeignConnection>): Promise<void> {
  const checks = Object.entries(CHECKS).map(([name, run]) => [name, () => run(open)] as const);
  await reportChecks(Object.fromEntries(checks), console.log);
}

/** Sends the datagrams until each has come back. */
async function echoed(connection: ForeignConnection, datagrams: readonly Uint8Array[]): Promise<void> {
  const missing = new Map(datagrams.map((datagram) => [datagram.join(), datagram]));
  const sending = (async () => {
    while (missing.size > 0) {
      for (const datagram of [...missing.values()]) await connection.send(datagram);
      await sleep(RESEND_MS);
    }
  })();
  while (missing.size > 0) missing.delete((await connection.receive()).join());
  await sending;
}
