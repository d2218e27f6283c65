import assert from 'node:assert/strict';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { H3Limits, H3Request } from 'trilane';
import { until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { runPeer } from '../harness/peer.js';
import { collectGarbage } from '../harness/runtime.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** `H3_STRESS=1` runs the attacks at the peer's full size and holds the memory to strict bounds. */
const STRESS = process.env['H3_STRESS'] === '1';

/** RFC 9114 §8.1. */
const H3_EXCESSIVE_LOAD = 0x107;

const MIB = 1024 * 1024;
/** What an attack may cost in resident memory: heaps grow by themselves while a neighbour is served. */
const GROWTH_BYTES = (STRESS ? 64 : 128) * MIB;
/** What may be left of it after a rest. */
const LEFT_BYTES = 16 * MIB;
const REST_MS = 5_000;
/** Silence after which the server forgets a client; longer than an attacker waits for its answers. */
const IDLE_MS = STRESS ? 6_000 : 3_000;

/** An attack of the peer: how much of it in the short form, and what may become of its parts. */
interface Attack {
  readonly kind: string;
  readonly name: string;
  readonly short: Readonly<Record<string, number>>;
  readonly outcomes: RegExp;
  /** How the connections of a flood may end. */
  readonly ends?: RegExp;
  /** The flood is above what a connection may do, and one that brings it does not survive. */
  readonly isTooMuch?: true;
  readonly limits?: H3Limits;
}

const ATTACKS: readonly Attack[] = [
  {
    kind: 'huge-headers',
    name: 'a HEADERS frame of many megabytes',
    short: { bytes: 8 * MIB },
    outcomes: /^(answered:431|(writing )?(closed|reset|stopped):0x10[07])$/,
  },
  {
    kind: 'many-fields',
    name: 'a request with too many fields',
    short: { count: 20, bytes: 20_000 },
    outcomes: /^(answered:431|(writing )?(closed|reset|stopped):0x10[07])$/,
  },
  {
    kind: 'trickle',
    name: 'header blocks that arrive byte by byte',
    short: { count: 50, 'interval-ms': 5 },
    outcomes: /^(answered:(200|408)|writing stopped:0x100)$/,
  },
  {
    kind: 'half-requests',
    name: 'header blocks that stop half-way',
    short: { count: 300, hold: 1 },
    outcomes: /^(answered:408|no_credit|silence)$/,
    limits: { headerTimeoutMs: 500 },
  },
  {
    kind: 'garbage-streams',
    name: 'random bytes on streams of both kinds',
    short: { count: 300, hold: 1 },
    outcomes: /^(answered:4\d\d|(closed|reset|stopped):0x(10[0-9a-e]|20[0-2])|silence|no_credit|finished)$/,
  },
  {
    kind: 'open-reset',
    name: 'streams that are opened and reset at once',
    short: { count: 5_000, hold: 1 },
    outcomes: /^(reset by us|closed:0x107|no_credit)$/,
  },
  {
    kind: 'garbage-udp',
    name: 'datagrams of noise',
    short: { count: 5_000, hold: 1 },
    outcomes: /^(broken initial|noise|reply|short header|unknown version)$/,
  },
  {
    kind: 'connect-churn',
    name: 'handshakes closed, given up and left in silence',
    short: { count: 100, hold: 1 },
    outcomes: /^(closed by us|given up|vanished)$/,
    limits: { handshakeTimeoutMs: 1_000, idleTimeoutMs: 1_000 },
  },
  {
    kind: 'vanish',
    name: 'clients that vanish in the middle of their bodies',
    short: { connections: 5, hold: 1 },
    outcomes: /^left half-sent$/,
    limits: { idleTimeoutMs: 1_000 },
  },
];

/** What a flood brings that lasts as long as one sample of the server's guard and a bit. */
const LASTING = { lasting: 1.2, hold: 1 };
/** What a flood brings whose frames the server counts as it reads them. */
const BRIEF = { count: 50_000, lasting: 0.5, hold: 1 };
const ANSWERED = /^(answered(:200)?|silence)$/;
/** A flooder that goes on sending may miss the close and meet a stateless reset (RFC 9000 §10.3). */
const EXCESSIVE = /^(closed:0x107|stateless_reset|survived)$/;

const FLOODS: readonly Attack[] = [
  {
    kind: 'empty-data',
    name: 'DATA frames without content',
    short: BRIEF,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'unknown-frames',
    name: 'frames of reserved types',
    short: BRIEF,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'unknown-streams',
    name: 'streams of reserved types',
    short: { count: 5_000, hold: 1 },
    outcomes: ANSWERED,
    ends: EXCESSIVE,
  },
  {
    kind: 'priority-update',
    name: 'PRIORITY_UPDATE again and again',
    short: BRIEF,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'settings-churn',
    name: 'connections that send SETTINGS twice',
    short: { count: 20, hold: 1 },
    outcomes: /^$/,
    ends: /^closed:0x105$/,
  },
  {
    kind: 'stop-sending',
    name: 'requests whose answers are not wanted',
    short: { count: 2_000, hold: 1 },
    outcomes: ANSWERED,
    ends: EXCESSIVE,
  },
  {
    kind: 'tiny-windows',
    name: 'answers taken byte by byte',
    short: { count: 50, bytes: 100, hold: 1 },
    outcomes: /^(finished|stopped by us|silence)$/,
    ends: EXCESSIVE,
  },
  {
    kind: 'frozen-windows',
    name: 'answers that nobody takes',
    short: { count: 100, hold: 0.5 },
    outcomes: /^(silence|reset:0x10[0-9a-e])$/,
    ends: EXCESSIVE,
  },
  {
    kind: 'ping-flood',
    name: 'PING again and again',
    short: LASTING,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'path-challenge',
    name: 'path challenges',
    short: LASTING,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'cid-churn',
    name: 'connection ids',
    short: LASTING,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'flow-frames',
    name: 'flow control that changes nothing',
    short: LASTING,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'stream-frames',
    name: 'STREAM frames without data',
    short: LASTING,
    outcomes: ANSWERED,
    ends: EXCESSIVE,
    isTooMuch: true,
  },
  {
    kind: 'ack-flood',
    name: 'the same acknowledgement again and again',
    short: LASTING,
    outcomes: ANSWERED,
    // Where the attacker is late, it acknowledges a packet number that the server skipped on purpose (RFC 9000 §21.4).
    ends: /^(closed:0x107|transport:0xa|stateless_reset|survived)$/,
    isTooMuch: true,
  },
  {
    kind: 'datagrams',
    name: 'DATAGRAM frames that nobody has allowed',
    short: { count: 1_000, hold: 1 },
    outcomes: /^not_negotiated$/,
    ends: /^(transport:0xa|stateless_reset)$/,
  },
  {
    kind: 'late-crypto',
    name: 'CRYPTO after the handshake',
    short: { count: 500, hold: 1 },
    outcomes: ANSWERED,
    ends: /^(closed:0x107|stateless_reset|transport:0xd|tls:0xa|survived)$/,
  },
];

export const specs: Spec[] = [
  ...[...ATTACKS, ...FLOODS].map((attack) => ({
    name: `${attack.name}: a neighbour is served all the time, and memory stays bounded`,
    run() {
      const limits = { idleTimeoutMs: IDLE_MS, ...attack.limits };
      return withServer({ fetch: () => new Response('served'), limits }, (stage) => endure(stage, attack));
    },
  })),
  {
    name: 'a client that abandons more requests than it may loses its connection, others keep theirs',
    run() {
      const fetch = ({ signal }: H3Request): Promise<Response> =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(new Response())));
      const limits = { maxAbandonedStreamsPerSecond: 50 };
      const routes = [{ method: 'GET', pattern: '/ping', fetch: () => new Response('pong') }];
      return withServer({ fetch, routes, limits }, async ({ connection, connect, server }) => {
        const rapid = await connect();
        for (let round = 0; round < 40; round++) {
          const open = await Promise.all(Array.from({ length: 10 }, () => rapid.open({ read: 'none' })));
          // Once the connection is gone there is nothing left to cancel.
          await Promise.allSettled(open.map((request) => request.cancel()));
        }
        assert.equal((await rapid.closed(3000)).code, H3_EXCESSIVE_LOAD);
        assert.equal(server.getStats().excessiveLoad, 1n);
        assert.equal((await connection.get('/ping')).text, 'pong');
      });
    },
  },
];

/** Runs the attack beside a neighbour with a steady beat of requests. */
async function endure(
  { server, connection, connect, log }: Stage,
  { kind, short, outcomes, ends, isTooMuch }: Attack,
): Promise<void> {
  const long = ends === undefined ? {} : { lasting: 3 };
  const size = STRESS ? long : short;
  const args = Object.entries(size).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  await connection.close();
  // What the runtime allocates once it is busy is not the attack's.
  if (STRESS) await runPeer(['probe', server.url.href, '--seconds', '2'], 10_000);
  collectGarbage();
  const before = process.memoryUsage().rss;
  let most = before;
  const watching = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 20);
  const [attack, probe] = await Promise.all([
    runPeer(['attack', kind, server.url.href, ...args], 25_000),
    runPeer(['probe', server.url.href, '--seconds', probeSeconds(ends !== undefined)], 25_000),
  ]);
  clearInterval(watching);
  const told = JSON.stringify({ attack, probe });
  assert.equal(attack['error'], null, told);
  for (const outcome of Object.keys(attack['outcomes'] as object)) assert.match(outcome, outcomes, told);
  if (ends !== undefined) assertEnded(Object.keys(attack['ends'] as object), ends, told);
  if (isTooMuch) assert.notDeepEqual(Object.keys(attack['ends'] as object), ['survived'], told);
  assert.equal(probe['errors'], 0, told);
  assert.ok((probe['requests'] as number) > 50, told);
  assert.ok((probe['max_us'] as number) < 1_000_000, told);
  measuredMemory(most - before, `it was attacked by ${kind}`);
  assert.ok(most - before < GROWTH_BYTES, `${(most - before) / MIB} MiB more while ${told}`);
  await until('the attacker to be forgotten', () => server.getStats().connectionsActive === 0);
  assert.equal((await (await connect()).get()).text, 'served');
  if (STRESS) await assertForgotten(before);
  log.take();
}

/** A flood's connections end as they may, and some connection was there. */
function assertEnded(ended: readonly string[], ends: RegExp, told: string): void {
  assert.ok(ended.length > 0, told);
  for (const end of ended) assert.match(end, ends, told);
}

/** The short floods are over sooner than the other attacks. */
function probeSeconds(isFlood: boolean): string {
  if (STRESS) return '3';
  return isFlood ? '0.5' : '1';
}

async function assertForgotten(before: number): Promise<void> {
  await sleep(REST_MS);
  collectGarbage();
  const left = process.memoryUsage().rss - before;
  assert.ok(left < LEFT_BYTES, `${left / MIB} MiB are left after a rest`);
}
