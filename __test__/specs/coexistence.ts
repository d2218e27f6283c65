import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { WTContext } from 'trilane';
import { Connection } from '../harness/connection.js';
import { soon, until } from '../harness/deadline.js';
import { IS_STRESS } from '../harness/pattern.js';
import { rawGet } from '../harness/raw-request.js';
import { AGREEING, agreeingWithFlowControl } from '../harness/raw-session.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** Clients with and without flow control of sessions; of those with it the server takes 128 streams at once in each. */
const DIALECTS = [
  { dialect: 'draft 2', controlHex: AGREEING, token: 'webtransport' },
  {
    dialect: 'draft 16',
    controlHex: agreeingWithFlowControl({ dataBytes: 2 ** 20, bidi: 0, uni: 0 }),
    token: 'webtransport-h3',
  },
];

/** What one round does: a GET, a piece of an upload, five datagrams and two streams, each there and back. */
const OPERATIONS = 9;
/** `H3_STRESS=1` does ten thousand operations. */
const ROUNDS = IS_STRESS ? Math.ceil(10_000 / OPERATIONS) : 60;
/** The time for them on a busy machine, in milliseconds. */
const MS = IS_STRESS ? 240_000 : 30_000;

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Everything that the server got where it does not belong. */
const strays: string[] = [];

/** Sends `payload` back if it says that it belongs to `place`. */
function back(place: string, payload: Uint8Array): Uint8Array {
  const said = text(payload);
  if (!said.startsWith(`${place}:`)) strays.push(`${said} came to ${place}`);
  return bytes(`back ${said}`);
}

async function echoSession(session: WTContext<{ name: string }>): Promise<void> {
  const { name } = session.params;
  const datagrams = async (): Promise<void> => {
    for await (const payload of session.datagrams.readable) session.sendDatagram(back(name, payload));
  };
  const streams = async (): Promise<void> => {
    for await (const { readable, writable } of session.incomingBidirectionalStreams) {
      const writer = writable.getWriter();
      for await (const piece of readable) await writer.write(back(name, piece));
      await writer.close();
    }
  };
  await Promise.all([datagrams(), streams()]);
}

function connect(url: URL, path: string, protocol?: string): [string, string][] {
  return [
    [':method', protocol === undefined ? 'POST' : 'CONNECT'],
    ...(protocol === undefined ? [] : ([[':protocol', protocol]] as [string, string][])),
    [':scheme', 'https'],
    [':authority', url.host],
    [':path', path],
  ];
}

/** A DATA frame of less than 64 bytes (RFC 9114 §7.2.1). */
function data(payload: string): Buffer {
  return Buffer.concat([Uint8Array.of(0, payload.length), Buffer.from(payload)]);
}

export const specs: Spec[] = DIALECTS.map(({ dialect, controlHex, token }) => {
  return {
    name: `requests, an upload, HTTP datagrams and two sessions (${dialect}) on one connection, raw datagrams beside it: nothing crosses over`,
    ms: MS,
    run: () => {
      strays.length = 0;
      let uploaded = '';
      return withServer(
        {
          quicAlpn: ['raw'],
          quicDatagram: (payload, context) => {
            context.sendReply(back('raw', payload));
          },
          fetch: (request) => new Response(`back get:${new URL(request.url).pathname.slice(1)}`),
          routes: [
            {
              method: 'POST',
              pattern: '/upload',
              mode: 'streaming',
              async fetch(request) {
                for await (const piece of request.body ?? []) uploaded += text(piece);
                return new Response('taken');
              },
            },
            {
              method: 'POST',
              pattern: '/datagrams',
              h3Datagram: (payload, context) => {
                context.sendReply(back('http', payload));
              },
            },
            { method: 'CONNECT', pattern: '/sessions/:name', webtransport: echoSession },
          ],
        },
        async ({ server }) => {
          const { url } = server;
          const client = await Connection.openRaw(url, { controlHex });
          const beside = await Connection.openRaw(url, { alpn: ['raw'], controlHex: '' });
          const asks: [string, string?][] = [
            ['/sessions/a', token],
            ['/sessions/b', token],
            ['/datagrams'],
            ['/upload'],
          ];
          const open = [];
          for (const [path, protocol] of asks) {
            const stream = await client.openStream();
            await stream.write({ headers: connect(url, path, protocol) });
            open.push(stream);
          }
          const [sessionA, sessionB, datagrams, upload] = open as [
            (typeof open)[0],
            (typeof open)[0],
            (typeof open)[0],
            (typeof open)[0],
          ];
          for (const stream of [sessionA, sessionB, datagrams]) await stream.read(3);
          const places = ['a', 'b', 'http'];
          const get = async (round: number): Promise<void> => {
            const answer = await (await rawGet(client, url, `/${round}`)).read();
            assert.ok(text(answer.bytes).endsWith(`back get:${round}`), text(answer.bytes));
          };
          const stream = async (session: number, round: number): Promise<void> => {
            const said = `${places[session]}:stream ${round}`;
            const opened = await client.openStream();
            const prefix = Uint8Array.of(0x40, 0x41, 4 * session);
            await opened.write({ bytes: Buffer.concat([prefix, Buffer.from(said)]), fin: true });
            const answer = await opened.read();
            assert.deepEqual([text(answer.bytes), answer.fin], [`back ${said}`, true]);
          };
          const onSameConnection = async (round: number): Promise<void> => {
            for (const [quarterStreamId, place] of places.entries()) {
              await client.sendDatagram(`${place}:${round}`, { quarterStreamId });
            }
            const replies = (await client.readDatagrams(places.length)).map((reply) => {
              return `${reply[0]} ${text(reply.subarray(1))}`;
            });
            assert.deepEqual(
              replies.sort(),
              places.map((place, id) => `${id} back ${place}:${round}`),
            );
          };
          const onOther = async (round: number): Promise<void> => {
            for (const nth of [0, 1]) await beside.sendDatagram(`raw:${round}.${nth}`);
            const replies = (await beside.readDatagrams(2)).map(String);
            assert.deepEqual(replies.sort(), [`back raw:${round}.0`, `back raw:${round}.1`]);
          };
          let expected = '';
          for (let round = 0; round < ROUNDS; round += 1) {
            expected += `up ${round};`;
            const all = [
              get(round),
              upload.write({ bytes: data(`up ${round};`) }),
              onSameConnection(round),
              onOther(round),
              stream(0, round),
              stream(1, round),
            ];
            await soon(`round ${round}`, Promise.all(all));
          }
          await upload.write({ fin: true });
          assert.ok(text((await upload.read()).bytes).endsWith('taken'));
          assert.equal(uploaded, expected);
          assert.deepEqual(strays, []);
          const stats = server.getStats();
          const rounds = BigInt(ROUNDS);
          assert.deepEqual(
            [stats.quicDatagrams, stats.h3Datagrams, stats.webtransportDatagrams].map(
              ({ received, sent, droppedIncoming, droppedOutgoing }) => [
                received,
                sent,
                droppedIncoming + droppedOutgoing,
              ],
            ),
            [
              [2n * rounds, 2n * rounds, 0n],
              [rounds, rounds, 0n],
              [2n * rounds, 2n * rounds, 0n],
            ],
          );
          assert.deepEqual(
            [stats.webtransportSessionsTotal, stats.webtransportSessionsActive, stats.webtransportStreams],
            [2n, 2, 2n * rounds],
          );
          const sessions = server.connections().map(({ webtransportSessions }) => webtransportSessions);
          assert.deepEqual(
            sessions.filter((count) => count !== 0),
            [2],
          );
          await client.close();
          await beside.close();
          await until('the end of the sessions', () => server.getStats().webtransportSessionsActive === 0);
        },
      );
    },
  };
});
