import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, WebTransportError, type WTContext } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import {
  closeCapsule,
  DRAIN_CAPSULE,
  http3Code,
  RawSession,
  WT_SESSION_GONE,
} from '../harness/raw-session.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** What a handler of sessions does, beside one plain route; and a client of one session, closed at the end. */
function session(
  name: string,
  webtransport: (context: WTContext<{ room: string }>) => void | Promise<void>,
  run: (client: RawSession, stage: Stage) => Promise<void>,
  more: { headers?: [string, string][]; allowedOrigins?: string[] } = {},
): Spec {
  return {
    name,
    run: () =>
      withServer(
        {
          fetch: () => new Response('http'),
          routes: [
            {
              method: 'CONNECT',
              pattern: '/rooms/:room',
              webtransport,
              ...(more.allowedOrigins && { allowedOrigins: more.allowedOrigins }),
            },
          ],
        },
        async (stage) => {
          const client = await RawSession.ask(stage.server.url, '/rooms/blue', more.headers);
          try {
            await run(client, stage);
          } finally {
            await client.connection.close().catch(() => undefined);
          }
        },
      ),
  };
}

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

/** The `:status` of an answer, by its byte in the static table. */
async function status(client: RawSession): Promise<number> {
  const { bytes: head } = await client.connect.read(3);
  const length = (((head[1] ?? 0) & 0x3f) << 8) | (head[2] ?? 0);
  const block = head.length >= 6 ? head.subarray(3) : (await client.connect.read(length)).bytes;
  const known: Record<number, number> = { 217: 200, 219: 404, 255: 0 };
  if (block[2] === 0xff) return { 5: 403, 8: 500 }[block[3] ?? 0] ?? -1;
  return known[block[2] ?? 0] ?? -1;
}

async function first<Item>(stream: ReadableStream<Item>): Promise<Item> {
  const reader = stream.getReader();
  const { value } = await soon('something to read', reader.read());
  reader.releaseLock();
  return value as Item;
}

async function write(stream: WritableStream<Uint8Array>, value: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(bytes(value));
  await writer.close();
}

export const specs: Spec[] = [
  (() => {
    const seen = deferred<WTContext<{ room: string }>>();
    return session(
      'a handler that returns accepts the session, and sees who asks for what',
      (context) => seen.resolve(context),
      async (client, { server, connection }) => {
        assert.equal(await status(client), 200);
        const context = await seen.promise;
        assert.equal(context.params.room, 'blue');
        assert.equal(context.sessionId, 0n);
        assert.equal(new URL(context.request.url).pathname, '/rooms/blue');
        assert.equal(context.request.method, 'CONNECT');
        await context.ready;
        assert.throws(() => context.reject(404), { code: 'ERR_H3_SESSION_DECIDED' });
        assert.throws(() => context.accept(), { code: 'ERR_H3_SESSION_DECIDED' });
        assert.equal((await connection.get()).text, 'http');
        assert.equal(server.getStats().requestsActive, 1);
      },
    );
  })(),
  (() => {
    const seen = deferred<WTContext<{ room: string }>>();
    return session(
      'reject() refuses the session with its status',
      (context) => {
        assert.throws(() => context.reject(200), { code: 'ERR_H3_RESPONSE_STATUS' });
        context.reject(404);
        seen.resolve(context);
      },
      async (client) => {
        assert.equal(await status(client), 404);
        const context = await seen.promise;
        await assert.rejects(context.ready, WebTransportError);
        await assert.rejects(context.closed, WebTransportError);
        assert.equal(context.sendDatagram(bytes('x')), false);
      },
    );
  })(),
  session(
    'a page of another origin is refused with 403',
    () => assert.fail('the handler was called'),
    async (client) => assert.equal(await status(client), 403),
    { headers: [['origin', 'https://evil.example']], allowedOrigins: ['https://good.example'] },
  ),
  session(
    'a client without an origin is no page, and accepted',
    () => undefined,
    async (client) => assert.equal(await status(client), 200),
    { allowedOrigins: ['https://good.example'] },
  ),
  session(
    'a page whose origin is opaque is refused with 403',
    () => assert.fail('the handler was called'),
    async (client) => assert.equal(await status(client), 403),
    { headers: [['origin', 'null']], allowedOrigins: ['https://good.example'] },
  ),
  session(
    'a page of an allowed origin is accepted',
    () => undefined,
    async (client) => assert.equal(await status(client), 200),
    { headers: [['origin', 'https://good.example']], allowedOrigins: ['https://good.example'] },
  ),
  session(
    'the handler chooses one of the protocols that the client offers',
    (context) => {
      assert.deepEqual(context.protocols, ['chat', 'pl"ay']);
      assert.throws(() => context.accept({ protocol: 'other' }), { code: 'ERR_H3_HEADER' });
      context.accept({ protocol: 'pl"ay' });
    },
    async (client) => {
      const { bytes: head } = await client.connect.read(20);
      assert.ok(head.includes(Buffer.from('wt-protocol')), head.toString('latin1'));
    },
    { headers: [['wt-available-protocols', '"chat";q=1, "pl\\"ay"']] },
  ),
  session(
    'a session whose handler throws is refused with 500',
    () => {
      throw new Error('not today');
    },
    async (client, { log }) => {
      assert.equal(await status(client), 500);
      assert.equal((log.take()[0]?.[1] as Error).message, 'not today');
    },
  ),
  session(
    'an accepted session whose handler rejects breaks off',
    async (context) => {
      context.accept();
      await context.ready;
      throw new Error('too late');
    },
    async (client, { log }) => {
      const read = await client.connect.read();
      assert.equal(read.resetCode, 0x102);
      assert.equal((log.take()[0]?.[1] as Error).message, 'too late');
    },
  ),
  session(
    'streams carry bytes in all four directions',
    async (context) => {
      const { readable, writable } = await first(context.incomingBidirectionalStreams);
      await readable.pipeTo(writable);
      const one = await first(context.incomingUnidirectionalStreams);
      assert.equal(text(await first(one)), 'one way');
      await write(await context.createUnidirectionalStream(), 'from the server');
      const both = await context.createBidirectionalStream();
      await write(both.writable, 'both ways');
      assert.equal(text(await first(both.readable)), 'back');
      context.close(0, 'all done');
    },
    async (client) => {
      const echo = await client.open('bidi', 'echo', true);
      const { bytes: answer, fin } = await echo.read();
      assert.deepEqual([text(answer), fin], ['echo', true]);
      await client.open('uni', 'one way', true);
      await client.connection.acceptStream('uni');
      assert.equal(text((await client.accept('uni', 15)).bytes), 'from the server');
      const { stream, bytes: greeting } = await client.accept('bidi', 9);
      assert.equal(text(greeting), 'both ways');
      await stream.write({ bytes: bytes('back'), fin: true });
      const { bytes: rest } = await client.connect.read();
      assert.ok(rest.includes(Buffer.from(closeCapsule(0, 'all done'))));
    },
  ),
  (() => {
    const errors = deferred<unknown[]>();
    const began = deferred();
    return session(
      'resets and stops carry 32-bit codes both ways',
      async (context) => {
        const reader = context.incomingBidirectionalStreams.getReader();
        const { value: theirs } = await reader.read();
        const failed: unknown[] = [];
        const input = theirs?.readable.getReader();
        await input?.read();
        began.resolve();
        await input?.read().catch((error: unknown) => failed.push(error));
        await theirs?.writable.getWriter().closed.catch((error: unknown) => failed.push(error));
        const { value: ours } = await reader.read();
        await ours?.writable.abort(new WebTransportError('', { streamErrorCode: 4_294_967_295 }));
        await ours?.readable.cancel(new WebTransportError('', { streamErrorCode: 8 }));
        errors.resolve(failed);
      },
      async (client) => {
        const theirs = await client.open('bidi', 'x');
        await soon('the first bytes', began.promise);
        await theirs.reset(http3Code(5));
        await theirs.stop(http3Code(6));
        const ours = await client.open('bidi', 'y');
        assert.equal((await ours.read()).resetCode, http3Code(4_294_967_295));
        assert.equal(await ours.stopped(), http3Code(8));
        const failed = (await soon('errors', errors.promise)) as WebTransportError[];
        assert.deepEqual(
          failed.map(({ name, source, streamErrorCode }) => [name, source, streamErrorCode]),
          [
            ['WebTransportError', 'stream', 5],
            ['WebTransportError', 'stream', 6],
          ],
        );
      },
    );
  })(),
  (() => {
    const seen = deferred<WTContext<{ room: string }>>();
    const began = deferred();
    return session(
      'a client that closes is heard with its code and reason, and all its streams end',
      async (context) => {
        const { readable, writable } = await first(context.incomingBidirectionalStreams);
        await first(readable);
        began.resolve();
        await context.closed;
        const error = await first(readable).catch((error: unknown) => error);
        assert.equal((error as WebTransportError).source, 'session');
        await assert.rejects(writable.getWriter().write(bytes('late')), WebTransportError);
        await assert.rejects(context.createUnidirectionalStream(), WebTransportError);
        seen.resolve(context);
      },
      async (client) => {
        const stream = await client.open('bidi', 'x');
        await soon('the first bytes', began.promise);
        await client.close(42, 'vorbei ✓');
        const context = await soon('the end', seen.promise);
        assert.deepEqual(await context.closed, { closeCode: 42, reason: 'vorbei ✓' });
        assert.equal((await stream.read()).resetCode, WT_SESSION_GONE);
        assert.equal(context.sendDatagram(bytes('late')), false);
        assert.equal(context.datagrams.maxDatagramSize, 0);
      },
    );
  })(),
  (() => {
    const failed = deferred();
    return session(
      'a handler that fails because its session is over is not logged',
      async (context) => {
        context.accept();
        await context.closed;
        await context.createUnidirectionalStream().finally(() => failed.resolve());
      },
      async (client, { log }) => {
        assert.equal(await status(client), 200);
        await client.close(0, '');
        await soon('the failure', failed.promise);
        await sleep(10);
        assert.deepEqual(log.take(), []);
      },
    );
  })(),
  session(
    'a handler that fails for itself after its session is logged',
    async (context) => {
      context.accept();
      await context.closed;
      throw new Error('while tidying up');
    },
    async (client, { log }) => {
      assert.equal(await status(client), 200);
      await client.close(0, '');
      const entries: unknown[][] = [];
      await until('the log', () => entries.push(...log.take()) > 0);
      assert.equal((entries[0]?.[1] as Error).message, 'while tidying up');
    },
  ),
  (() => {
    const broke = deferred<unknown>();
    return session(
      'a client that vanishes breaks its session off',
      (context) => {
        context.closed.catch((error: unknown) => broke.resolve(error));
      },
      async (client) => {
        assert.equal(await status(client), 200);
        await client.connection.close();
        const error = (await soon('the end', broke.promise)) as WebTransportError;
        assert.deepEqual([error.name, error.source], ['WebTransportError', 'session']);
      },
    );
  })(),
  session(
    'close() sends its code and reason and ends the stream without stopping it',
    (context) => {
      context.drain();
      context.close({ closeCode: 9, reason: 'enough' });
      context.close(10);
      assert.equal(context.sendDatagram(bytes('late')), false);
    },
    async (client) => {
      const { bytes: answer, fin, resetCode } = await client.connect.read();
      assert.deepEqual([fin, resetCode], [true, null]);
      const capsules = answer.toString('hex');
      assert.ok(capsules.includes(Buffer.from(DRAIN_CAPSULE).toString('hex')), capsules);
      assert.ok(capsules.endsWith(Buffer.from(closeCapsule(9, 'enough')).toString('hex')), capsules);
      await client.connect.write({ fin: true });
      assert.equal(await client.connect.stopped(), null);
    },
  ),
  (() => {
    const draining = deferred();
    return session(
      'a client that drains is heard',
      (context) => void context.draining.then(() => draining.resolve()),
      async (client) => {
        await client.capsule(DRAIN_CAPSULE);
        await soon('draining', draining.promise);
      },
    );
  })(),
  session(
    'datagrams go both ways, by the method and by the streams of the W3C',
    async (context) => {
      const { readable, writable, maxDatagramSize } = context.datagrams;
      assert.ok(maxDatagramSize > 1000);
      const writer = writable.getWriter();
      for await (const payload of readable) {
        const word = text(payload);
        if (word === 'end') break;
        if (word === 'method') assert.equal(context.sendDatagram(payload), true);
        else await writer.write(payload);
      }
      assert.equal(context.sendDatagram(new Uint8Array(70_000)), false);
      assert.throws(() => context.sendDatagram('x' as never), { code: 'ERR_H3_DATAGRAM' });
      context.close();
    },
    async (client, { server }) => {
      assert.equal(await status(client), 200);
      for (const word of ['method', 'stream']) {
        await client.connection.sendDatagram(word, { quarterStreamId: 0 });
        const [reply] = await client.connection.readDatagrams();
        assert.equal(text(reply?.subarray(1)), word);
      }
      await client.connection.sendDatagram('end', { quarterStreamId: 0 });
      await client.connect.read();
      const { webtransportDatagrams: datagrams } = server.getStats();
      assert.deepEqual([datagrams.received, datagrams.sent], [3n, 2n]);
    },
  ),
  (() => {
    let written = 0;
    const stop = deferred();
    return session(
      'a stream that the client does not read holds its writer back',
      async (context) => {
        const writer = (await context.createUnidirectionalStream()).getWriter();
        const chunk = new Uint8Array(64 * 1024);
        const writing = (async () => {
          while (written < 1000) {
            await writer.write(chunk);
            written += 1;
          }
        })();
        await Promise.race([writing.catch(() => undefined), stop.promise]);
      },
      async (client) => {
        assert.equal(await status(client), 200);
        let before = { written: 0, since: performance.now() };
        await until('the writer waits', () => {
          if (written !== before.written) before = { written, since: performance.now() };
          return written > 0 && performance.now() - before.since > 200;
        });
        assert.ok(written < 200, `${written} chunks of 64 KiB`);
        stop.resolve();
      },
    );
  })(),
  {
    name: 'routes of sessions are checked',
    run: () => {
      const webtransport = (): void => undefined;
      const refuse = (route: object, code: string): void => {
        assert.throws(() => createH3Server({ hostname: '127.0.0.1', routes: [route as never] }), { code });
      };
      refuse({ method: 'GET', pattern: '/', webtransport }, 'ERR_H3_ROUTE_METHOD');
      refuse({ method: 'CONNECT', pattern: '/', webtransport, protocol: 'x' }, 'ERR_H3_ROUTE_METHOD');
      refuse(
        { method: 'CONNECT', pattern: '/', webtransport, fetch: () => new Response() },
        'ERR_H3_ROUTE_HANDLER',
      );
      refuse({ method: 'CONNECT', pattern: '/', webtransport, allowedOrigins: 'x' }, 'ERR_H3_OPTION_TYPE');
      refuse(
        { method: 'GET', pattern: '/', fetch: () => new Response(), allowedOrigins: [] },
        'ERR_H3_OPTION_TYPE',
      );
    },
  },
];
