// Keying material of sessions, made on both sides (W3C WebTransport §6.5, draft-ietf-webtrans-http3-16 §4.8).

import assert from 'node:assert/strict';
import { H3Client, type WebTransport, type WTContext } from 'trilane';
import { soon } from '../harness/deadline.js';
import { rejection } from '../harness/failure.js';
import { type SessionStage, withSessions } from '../harness/session-stage.js';
import type { Spec } from './spec.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (data: Uint8Array): string =>
  [...data].map((byte) => byte.toString(16).padStart(2, '0')).join('');

function on(name: string, run: (stage: SessionStage) => Promise<void>): Spec {
  return { name, run: () => withSessions(run) };
}

/** Keying material of one side, as text. */
async function key(
  side: WebTransport | WTContext,
  label: string,
  context: string,
  length = 32,
): Promise<string> {
  const material = await soon(
    'keying material',
    side.exportKeyingMaterial(bytes(label), bytes(context), length),
  );
  assert.ok(material instanceof Uint8Array);
  assert.equal(material.byteLength, length);
  return hex(material);
}

async function domError(promise: Promise<unknown>): Promise<void> {
  const error = await rejection(promise);
  assert.ok(error instanceof DOMException, String(error));
  assert.equal(error.name, 'InvalidStateError');
}

export const specs: Spec[] = [
  on('both sides make the same, for each label and context another', async ({ open }) => {
    const { client, server } = await open();
    const seen = new Set<string>();
    for (const [label, context] of [
      ['a', ''],
      ['', 'a'],
      ['a', 'b'],
      ['ab', ''],
      ['l'.repeat(255), 'c'.repeat(255)],
    ] as const) {
      const ours = await key(client, label, context);
      assert.equal(await key(server, label, context), ours);
      assert.equal(await key(client, label, context), ours, 'the same each time');
      seen.add(ours);
    }
    assert.equal(seen.size, 5);
    assert.equal((await key(client, 'a', '', 4096)).length, 8192);
    assert.equal((await key(server, 'a', '', 1)).length, 2);
  }),
  on('sessions of one connection have keying material of their own', async ({ open, server }) => {
    const shared = new H3Client({ serverCertificateHashes: [server.certificateHash] });
    const first = await open('/', { allowPooling: true, client: shared });
    const second = await open('/', { allowPooling: true, client: shared });
    assert.equal(server.getStats().connectionsActive, 1);
    const [one, two] = [await key(first.client, 'a', 'b'), await key(second.client, 'a', 'b')];
    assert.notEqual(one, two);
    assert.deepEqual([await key(first.server, 'a', 'b'), await key(second.server, 'a', 'b')], [one, two]);
    for (const { client } of [first, second]) client.close();
    await soon('client.close()', shared.close());
  }),
  on('it takes buffers and views, and waits for the session to open', async ({ ask }) => {
    const session = ask();
    const early = session.exportKeyingMaterial(
      bytes('abc').buffer as ArrayBuffer,
      new DataView(new ArrayBuffer(2)),
      16,
    );
    assert.equal(session.reliability, 'pending');
    const view = new Uint8Array([0, 97, 98, 99, 0]).subarray(1, 4);
    assert.deepEqual(
      await soon('keying material', early),
      await session.exportKeyingMaterial(view, new Uint16Array(1), 16),
    );
  }),
  on('lengths that cannot be are a RangeError, what is no buffer a TypeError', async ({ open }) => {
    const { client, server } = await open();
    const ok = bytes('x');
    for (const side of [client, server]) {
      for (const [label, context, length] of [
        [new Uint8Array(256), ok, 32],
        [ok, new Uint8Array(256), 32],
        [ok, ok, 0],
        [ok, ok, 4097],
        [ok, ok, -1],
        [ok, ok, Number.NaN],
      ] as const) {
        await assert.rejects(side.exportKeyingMaterial(label, context, length), RangeError);
      }
      await assert.rejects(side.exportKeyingMaterial('x' as unknown as Uint8Array, ok, 32), TypeError);
      await assert.rejects(side.exportKeyingMaterial(ok, undefined as unknown as Uint8Array, 32), TypeError);
    }
  }),
  on('a session that is over, refused or broken off has none', async ({ ask, open, server }) => {
    const { client, server: theirs } = await open();
    client.close();
    await soon('closed', theirs.closed);
    await domError(client.exportKeyingMaterial(bytes('a'), bytes('b'), 32));
    await domError(theirs.exportKeyingMaterial(bytes('a'), bytes('b'), 32));
    const refused = ask('/refused');
    refused.closed.catch(() => undefined);
    await domError(refused.exportKeyingMaterial(bytes('a'), bytes('b'), 32));
    const lost = await open();
    await server.stop(true);
    await rejection(lost.client.closed);
    await domError(lost.client.exportKeyingMaterial(bytes('a'), bytes('b'), 32));
  }),
];
