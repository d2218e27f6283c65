// Conversations and packets changed at random, from a fixed seed; `npm run fuzz` is the long form.

import assert from 'node:assert/strict';
import { until } from '../harness/deadline.js';
import { runPeer } from '../harness/peer.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const SECONDS = 1;
/** Short, so that a client which vanished is forgotten within the patience of the spec. */
const LIMITS = { idleTimeoutMs: 2000, headerTimeoutMs: 2000, bodyTimeoutMs: 2000 };

const routes = [
  {
    method: 'POST',
    pattern: '/echo',
    fetch: async (request: Request) => new Response(await request.arrayBuffer()),
  },
  {
    method: ['POST', 'PUT'],
    pattern: '/sink',
    mode: 'streaming' as const,
    async fetch(request: Request) {
      let length = 0;
      for await (const chunk of request.body ?? []) length += chunk.byteLength;
      return new Response(`${length}`);
    },
  },
];

export const specs: Spec[] = [
  {
    name: 'changed conversations cost nobody but themselves, sound ones nobody, and leave nothing behind',
    async run() {
      const outcomes = await survive('streams');
      const codes = Object.keys(outcomes);
      assert.ok(codes.length > 3, `the changes were not noticed: ${codes}`);
    },
  },
  {
    name: 'datagrams that are damaged, repeated, lost and out of order change no byte of an answer',
    async run() {
      const outcomes = await survive('packets');
      assert.ok((outcomes['served'] ?? 0) > 0, JSON.stringify(outcomes));
    },
  },
];

/** Fuzzes a server of this runtime; the peer itself asks for right answers in between. What became of its connections. */
async function survive(mode: string): Promise<Record<string, number>> {
  let outcomes: Record<string, number> = {};
  const fetch = (): Response => new Response('hello world');
  await withServer({ fetch, routes, limits: LIMITS }, async ({ server, connection, log }: Stage) => {
    await connection.close();
    const args = ['fuzz', server.url.href, '--mode', mode, '--seconds', `${SECONDS}`, '--seed', '1'];
    const report = await runPeer([...args, '--batch', '16'], 25_000);
    assert.equal(report['failure'], null, JSON.stringify(report));
    assert.ok((report['honest'] as number) > 0, JSON.stringify(report));
    await until('every connection and request to be forgotten', () => {
      const { connectionsActive, requestsActive } = server.getStats();
      return connectionsActive === 0 && requestsActive === 0;
    });
    // What handlers threw when their clients went away.
    log.take();
    outcomes = report['outcomes'] as Record<string, number>;
  });
  return outcomes;
}
