// How sessions of the browser's class end, in the cases that pages meet: codes and reasons at their limits, what was cancelled
// before, what is large.

import assert from 'node:assert/strict';
import { H3Client, WebTransport, WebTransportError } from 'trilane';
import { soon, until } from '../harness/deadline.js';
import { rejection } from '../harness/failure.js';
import { onSessions as on } from '../harness/session-stage.js';
import type { Spec } from './spec.js';

const PIECE = new Uint8Array(64 * 1024).map((_, at) => at % 251);
const PIECES = 32;
const REASON_BYTES = 1024;

/** A fact: closed with `info`, both sides see `code` and `reason`. */
function closes(name: string, info: object, closeCode: number, reason: string): Spec {
  return on(name, async ({ open }) => {
    const { client, server } = await open();
    client.close(info);
    assert.deepEqual(await soon('closed', client.closed), { closeCode, reason: heard(info, reason) });
    assert.deepEqual(await soon('closed', server.closed), { closeCode, reason });
  });
}

/** This side keeps the reason as it was given; only what goes out is cut. */
function heard(info: { reason?: unknown }, sent: string): string {
  return typeof info.reason === 'string' && info.reason.length > REASON_BYTES ? info.reason : sent;
}

/** Sends `PIECES` pieces on a stream and counts those that come back unchanged. */
async function echoed(session: WebTransport): Promise<number> {
  const { readable, writable } = await session.createBidirectionalStream();
  const writer = writable.getWriter();
  const writing = (async () => {
    for (let n = 0; n < PIECES; n++) await writer.write(PIECE);
    await writer.close();
  })();
  let at = 0;
  for await (const chunk of readable as unknown as AsyncIterable<Uint8Array>) {
    for (const byte of chunk) {
      if (byte !== PIECE[at % PIECE.length]) assert.fail(`byte ${at} is ${byte}`);
      at += 1;
    }
  }
  await writing;
  return at;
}

export const specs: Spec[] = [
  closes('close() without arguments is code 0 and no reason', {}, 0, ''),
  closes('a code beyond 32 bits is taken modulo 2³²', { closeCode: 2 ** 32 + 5 }, 5, ''),
  closes('a code below 0 is taken modulo 2³²', { closeCode: -1 }, 0xffff_ffff, ''),
  closes('a code that is no number is 0', { closeCode: 'x' }, 0, ''),
  closes('a reason of 1,024 bytes goes whole', { reason: 'r'.repeat(1024) }, 0, 'r'.repeat(1024)),
  closes('one byte more is cut', { reason: 'r'.repeat(1025) }, 0, 'r'.repeat(1024)),
  closes('a reason that is no text is made one', { closeCode: 1, reason: 12 }, 1, '12'),
  closes('half a surrogate pair is replaced', { reason: 'a\ud83d' }, 0, 'a\ufffd'),
  on('what is no object closes nothing', async ({ open }) => {
    const { client } = await open();
    assert.throws(() => client.close('now' as never), TypeError);
    assert.throws(() => client.close(1 as never), TypeError);
    await client.createUnidirectionalStream();
    client.close(null as never);
    assert.deepEqual(await soon('closed', client.closed), { closeCode: 0, reason: '' });
  }),
  on('a session that is closed twice keeps the first code', async ({ open }) => {
    const { client, server } = await open();
    client.close({ closeCode: 1 });
    client.close({ closeCode: 2 });
    assert.equal((await soon('closed', client.closed)).closeCode, 1);
    assert.equal((await soon('closed', server.closed)).closeCode, 1);
  }),
  on(
    'close() in the turn in which the session opens is heard by the server',
    async ({ ask, open, server }) => {
      const session = ask();
      await soon('ready', session.ready);
      session.close({ closeCode: 9, reason: 'at once' });
      assert.deepEqual(await soon('closed', session.closed), { closeCode: 9, reason: 'at once' });
      await until('the end of the session', () => server.getStats().requestsActive === 0);
      await open();
    },
  ),
  on(
    'cancelled datagrams end nothing else, before the session is open and behind it',
    async ({ open, ask }) => {
      const early = ask();
      const cancelled = early.datagrams.readable.cancel('enough');
      await soon('ready', early.ready);
      await soon('cancel()', cancelled);
      early.close();
      await soon('closed', early.closed);
      const { client, server } = await open();
      const reader = client.datagrams.readable.getReader();
      await soon('cancel()', reader.cancel());
      assert.equal((await soon('the end', reader.read())).done, true);
      server.sendDatagram(new Uint8Array(3));
      const { writable } = await client.createBidirectionalStream();
      await writable.getWriter().write(new Uint8Array(1));
      client.close();
      await soon('closed', client.closed);
    },
  ),
  on('cancelled streams of streams end nothing else', async ({ open }) => {
    const { client, server } = await open();
    await soon('cancel()', client.incomingBidirectionalStreams.cancel('no more'));
    await soon('cancel()', client.incomingUnidirectionalStreams.cancel('no more'));
    await (await server.createUnidirectionalStream()).getWriter().write(new Uint8Array(1));
    const { writable } = await client.createBidirectionalStream();
    await writable.getWriter().write(new Uint8Array(1));
    const seen = await soon('a stream', server.incomingBidirectionalStreams.getReader().read());
    assert.equal(seen.done, false);
  }),
  on(
    'a stream whose halves are cancelled and aborted at once ends, and the session goes on',
    async ({ open }) => {
      const { client } = await open();
      const { readable, writable } = await client.createBidirectionalStream();
      const reader = readable.getReader();
      const reading = reader.read();
      const ended = Promise.allSettled([
        reader.cancel(new WebTransportError('', { streamErrorCode: 1 })),
        writable.abort(new WebTransportError('', { streamErrorCode: 2 })),
        reading,
      ]);
      const outcomes = await soon('the ends', ended);
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'fulfilled', 'fulfilled'],
      );
      await client.createUnidirectionalStream();
    },
  ),
  on(
    'four streams of 2 MiB each come back whole',
    async ({ open }) => {
      const { client } = await open();
      const all = await soon('the echoes', Promise.all([1, 2, 3, 4].map(() => echoed(client))), 60_000);
      assert.deepEqual(
        all,
        [1, 2, 3, 4].map(() => PIECES * PIECE.length),
      );
    },
    {
      accept: (session) => {
        void (async () => {
          for await (const { readable, writable } of session.incomingBidirectionalStreams) {
            readable.pipeTo(writable).catch(() => undefined);
          }
        })().catch(() => undefined);
      },
    },
  ),
  on(
    'hashes are taken as buffers, views and parts of one, and the names of algorithms in any case',
    async ({ server }) => {
      const bytes = server.certificateHash;
      const around = new Uint8Array(64);
      around.set(bytes, 16);
      for (const value of [
        bytes.slice().buffer,
        new DataView(bytes.slice().buffer),
        around.subarray(16, 48),
      ]) {
        const session = new WebTransport(server.url, {
          serverCertificateHashes: [{ algorithm: 'SHA-256', value }],
        });
        await soon('ready', session.ready);
        session.close();
      }
    },
  ),
  on('one of several hashes is enough, and none of them is not', async ({ server }) => {
    const wrong = { algorithm: 'sha-256', value: new Uint8Array(32) };
    const right = { algorithm: 'sha-256', value: server.certificateHash };
    const session = new WebTransport(server.url, { serverCertificateHashes: [wrong, right] });
    await soon('ready', session.ready);
    session.close();
    const refused = new WebTransport(server.url, { serverCertificateHashes: [wrong, wrong] });
    assert.ok((await rejection(refused.ready)) instanceof WebTransportError);
    await rejection(refused.closed);
  }),
  on('a closed session leaves its client free for others', async ({ server, ask }) => {
    const client = new H3Client({ serverCertificateHashes: [server.certificateHash] });
    for (let n = 0; n < 3; n++) {
      const session = ask('/', { client, allowPooling: true });
      await soon('ready', session.ready);
      session.close({ closeCode: n });
      assert.equal((await soon('closed', session.closed)).closeCode, n);
    }
    await soon('client.close()', client.close());
  }),
];
