import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { H3ServerStats, TunnelRoute } from 'trilane';
import { capsule, datagramCapsule } from '../harness/capsule.js';
import { Connection, type OpenOptions } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** H3_MESSAGE_ERROR (RFC 9114 §8.1). */
const H3_MESSAGE_ERROR = 0x10e;
/** SETTINGS with H3_DATAGRAM = 1 on a control stream (RFC 9297 §2.1.1). */
const AGREEING = '0004023301';

const ASK: OpenOptions = { method: 'CONNECT', protocol: 'connect-udp', path: '/tunnel', keepOpen: true };

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A server with one route of an extended CONNECT, beside plain requests. */
function tunnel(
  name: string,
  route: Pick<TunnelRoute<'/tunnel'>, 'fetch' | 'h3Datagram'>,
  run: (stage: Stage) => Promise<void>,
): Spec {
  const definition = { method: 'CONNECT', pattern: '/tunnel', protocol: 'connect-udp', ...route } as const;
  return {
    name,
    run: () =>
      withServer({ fetch: () => new Response('http'), routes: [definition] }, async (stage) => {
        await run(stage);
        assert.equal((await stage.connection.get()).text, 'http', 'the connection lives on');
      }),
  };
}

const echo: TunnelRoute['h3Datagram'] = (payload, context) => {
  context.sendReply(bytes(`echo ${text(payload)}`));
};

const counts = (stage: Stage): H3ServerStats['h3Datagrams'] => stage.server.getStats().h3Datagrams;

export const specs: Spec[] = [
  tunnel(
    'fetch of an extended CONNECT streams both ways at the same time',
    {
      fetch: (request) => {
        assert.equal(request.method, 'CONNECT');
        const upper = new TransformStream<Uint8Array, Uint8Array>({
          transform: (chunk, controller) => controller.enqueue(bytes(text(chunk).toUpperCase())),
        });
        return new Response(request.body?.pipeThrough(upper) ?? null);
      },
    },
    async ({ connection }) => {
      const open = await connection.open(ASK);
      assert.equal(open.answer.status, 200);
      assert.equal(open.answer.header('content-length'), null, 'RFC 9110 §8.6');
      assert.equal(open.answer.header('capsule-protocol'), null);
      for (const word of ['one', 'two', 'three']) {
        await open.send(word);
        assert.equal((await open.read(word.length)).text, word.toUpperCase());
      }
      await open.send('end', true);
      const end = await open.read();
      assert.deepEqual([end.text, end.ended, end.error], ['END', true, null]);
    },
  ),
  tunnel(
    'fetch of an extended CONNECT may refuse it, and a tunnel without content ends at once',
    {
      fetch: (request) => new Response(null, { status: request.headers.get('why') === null ? 200 : 403 }),
    },
    async ({ connection }) => {
      const refused = await connection.open({ ...ASK, headers: [['why', 'not']] });
      assert.equal(refused.answer.status, 403);
      const accepted = await connection.open(ASK);
      assert.equal(accepted.answer.status, 200);
      assert.equal((await accepted.read()).ended, true);
    },
  ),
  {
    name: 'the fallback gets a CONNECT that no route names, as a tunnel, and without a fallback it is 501',
    run: async () => {
      await withServer({ fetch: (request) => new Response(request.body) }, async ({ connection }) => {
        const open = await connection.open(ASK);
        await open.send('through');
        assert.equal((await open.read(7)).text, 'through');
        await open.send('', true);
        assert.equal((await open.read()).ended, true);
      });
      const routes = [{ method: 'GET', pattern: '/', fetch: () => new Response() }];
      await withServer({ routes }, async ({ connection }) => {
        assert.equal((await connection.open(ASK)).answer.status, 501);
      });
    },
  },
  {
    name: 'a client that resets its tunnel aborts the signal of fetch and ends the producer',
    run: () => {
      const aborted = deferred<unknown>();
      const cancelled = deferred<unknown>();
      const fetch: TunnelRoute['fetch'] = ({ signal }) => {
        signal.addEventListener('abort', () => aborted.resolve(signal.reason));
        return new Response(new ReadableStream({ cancel: (reason) => cancelled.resolve(reason) }));
      };
      const routes = [{ method: 'CONNECT', pattern: '/tunnel', protocol: 'connect-udp', fetch } as const];
      return withServer({ routes }, async ({ connection }) => {
        const open = await connection.open(ASK);
        await open.cancel();
        for (const end of [aborted, cancelled]) {
          assert.equal(
            ((await soon('an end', end.promise)) as { code?: string }).code,
            'ERR_H3_STREAM_RESET',
          );
        }
      });
    },
  },
  tunnel(
    'datagrams in capsules reach their handler in order, unknown capsules are skipped, and replies are capsules',
    { h3Datagram: echo },
    async (stage) => {
      const open = await stage.connection.open(ASK);
      assert.equal(open.answer.status, 200);
      assert.equal(open.answer.header('capsule-protocol'), '?1', 'RFC 9297 §3.4');
      const sent = Buffer.concat([
        datagramCapsule('a'),
        capsule(0x17, 'unknown'),
        datagramCapsule(''),
        datagramCapsule('c'),
      ]);
      // Cut anywhere: capsules know nothing of DATA frames (RFC 9297 §3.1).
      await open.send(sent.subarray(0, 1));
      await open.send(sent.subarray(1, 7));
      await open.send(sent.subarray(7));
      const expected = Buffer.concat(['echo a', 'echo ', 'echo c'].map(datagramCapsule));
      assert.deepEqual((await open.read(expected.length)).bytes, expected);
      const { received, sent: replied, droppedIncoming, droppedOutgoing } = counts(stage);
      assert.deepEqual([received, replied, droppedIncoming, droppedOutgoing], [3n, 3n, 0n, 0n]);
      await open.send('', true);
      const end = await open.read();
      assert.deepEqual([end.ended, end.error, end.length], [true, null, 0]);
    },
  ),
  tunnel(
    'a client that takes QUIC datagrams gets its replies in them, and may still send capsules',
    { h3Datagram: echo },
    async ({ server }) => {
      const client = await Connection.openRaw(server.url, { controlHex: AGREEING });
      const stream = await client.openStream();
      const headers: [string, string][] = [
        [':method', 'CONNECT'],
        [':protocol', 'connect-udp'],
        [':scheme', 'https'],
        [':authority', server.url.host],
        [':path', '/tunnel'],
      ];
      const content = datagramCapsule('by capsule');
      await stream.write({ headers, bytes: Buffer.concat([Uint8Array.of(0, content.length), content]) });
      await client.sendDatagram('by QUIC', { quarterStreamId: 0 });
      const replies = (await client.readDatagrams(2)).map((data) => text(data.subarray(1)));
      assert.deepEqual(replies.sort(), ['echo by QUIC', 'echo by capsule']);
      await client.close();
    },
  ),
  tunnel(
    'a tunnel that ends inside a capsule is reset with H3_MESSAGE_ERROR',
    { h3Datagram: echo },
    async ({ connection }) => {
      const open = await connection.open(ASK);
      await open.send(datagramCapsule('whole').subarray(0, 4), true);
      const { error } = await open.read();
      assert.deepEqual([error?.kind, error?.code], ['reset', H3_MESSAGE_ERROR], 'RFC 9297 §3.3');
    },
  ),
  tunnel(
    'a capsule of any length is skipped without being held, and a datagram too long is counted',
    { h3Datagram: echo },
    async (stage) => {
      const open = await (await stage.connect()).open(ASK);
      const length = 1_000_000;
      const header = Buffer.from([0, 0x80, 0, 0, 0]);
      header.writeUInt32BE((0x80000000 | length) >>> 0, 1);
      await open.send(header);
      for (let left = length; left > 0; left -= 50_000) await open.send(new Uint8Array(50_000));
      await open.send(datagramCapsule('next'));
      assert.deepEqual((await open.read(11)).bytes, datagramCapsule('echo next'));
      assert.equal(counts(stage).droppedIncoming, 1n);
      // The largest length there is: the stream just goes on.
      await open.send(Uint8Array.of(0x17, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
      await open.send(new Uint8Array(1000));
      assert.equal(stage.server.getStats().requestsActive, 1);
    },
  ),
  tunnel(
    'beside h3Datagram, fetch decides: its refusal is the answer, its acceptance stays open',
    {
      fetch: (request) => {
        assert.equal(request.body, null, 'the content is capsules, and not for fetch');
        return new Response(null, {
          status: request.headers.get('why') === null ? 200 : 403,
          headers: { 'x-tunnel': 'yes' },
        });
      },
      h3Datagram: echo,
    },
    async ({ connection }) => {
      const refused = await connection.open({ ...ASK, headers: [['why', 'not']] });
      assert.deepEqual([refused.answer.status, refused.answer.header('capsule-protocol')], [403, null]);
      const open = await connection.open(ASK);
      assert.deepEqual(
        [open.answer.status, open.answer.header('capsule-protocol'), open.answer.header('x-tunnel')],
        [200, '?1', 'yes'],
      );
      await open.send(datagramCapsule('x'));
      assert.deepEqual((await open.read(8)).bytes, datagramCapsule('echo x'));
      await open.send('', true);
      assert.equal((await open.read()).ended, true);
    },
  ),
  tunnel(
    'a slow client does not make capsules pile up: what its stream cannot take is dropped and counted',
    {
      h3Datagram(payload, context) {
        for (let count = 0; count < 1000; count += 1) context.sendReply(new Uint8Array(1000));
        context.sendReply(payload);
      },
    },
    async (stage) => {
      const client = await stage.connect({ streamReceiveWindow: 20_000 });
      const open = await client.open(ASK);
      await open.send(datagramCapsule('x'));
      await until('all replies to be accounted for', () => {
        const { sent, droppedOutgoing } = counts(stage);
        return sent + droppedOutgoing === 1001n;
      });
      const { droppedOutgoing } = counts(stage);
      assert.ok(droppedOutgoing > 100n, `${droppedOutgoing} dropped`);
      await open.cancel();
    },
  ),
  {
    name: 'a client that vanishes and a server that stops end a tunnel',
    run: () => {
      const contexts: { sendReply(data: Uint8Array): boolean; readonly maxDatagramSize: number }[] = [];
      return withServer(
        {
          limits: { idleTimeoutMs: 1000 },
          routes: [
            {
              method: 'CONNECT',
              pattern: '/tunnel',
              protocol: 'connect-udp',
              h3Datagram(_payload, context) {
                contexts.push(context);
              },
            },
          ],
        },
        async ({ server, connection, connect }) => {
          const vanishing = await connect();
          for (const client of [vanishing, connection]) {
            await (await client.open(ASK)).send(datagramCapsule('x'));
          }
          await until('two datagrams', () => contexts.length === 2);
          assert.ok((contexts[0]?.maxDatagramSize ?? 0) > 60_000, 'capsules carry more than packets');
          await vanishing.vanish();
          await until('the end of one', () => server.getStats().requestsActive < 2);
          await soon('the stop', server.stop(true));
          await until('the end of both', () => server.getStats().requestsActive === 0);
          await until('both to be told', () =>
            contexts.every((context) => !context.sendReply(bytes('late'))),
          );
        },
      );
    },
  },
];
