import assert from 'node:assert/strict';
import { createH3Server } from '../../index.js';
import { Connection } from '../harness/connection.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const LENGTH = 12_000_000;
/** As large as a browser's: one answer can fill the server's send window. */
const WINDOW = 16 * 1024 * 1024;

/** Which of two large answers, asked for one after the other, is complete first. */
async function firstToEnd(connection: Connection, earlier: string, later: string): Promise<string> {
  const ask = async (path: string, priority: string): Promise<string> => {
    const headers = priority === '' ? [] : ([['priority', priority]] as const);
    const answer = await connection.get(path, { headers, patienceMs: 25_000 });
    assert.equal(answer.length, LENGTH);
    return path;
  };
  const open = await connection.open({ path: '/earlier', headers: [['priority', earlier]] });
  const ends: string[] = [];
  const both = [
    open.read(undefined, 25_000).then((answer) => {
      assert.ok(answer.length > 0);
      ends.push('earlier');
    }),
    ask('/later', later).then(() => ends.push('later')),
  ];
  await Promise.all(both);
  return ends[0] as string;
}

export const specs: Spec[] = [
  {
    // RFC 9218 §10
    name: 'a more urgent answer overtakes one that was asked for first, and a less urgent one does not',
    async run() {
      const body = new Uint8Array(LENGTH);
      await withServer({ fetch: () => new Response(body) }, async ({ connect }) => {
        const connection = await connect({ streamReceiveWindow: WINDOW });
        assert.equal(await firstToEnd(connection, 'u=7', 'u=0'), 'later');
        assert.equal(await firstToEnd(connection, 'u=0', 'u=7'), 'earlier');
      });
    },
  },
  {
    // RFC 9218 §4
    name: 'a malformed priority is no reason to refuse a request',
    async run() {
      const server = createH3Server({ hostname: '127.0.0.1', fetch: () => new Response('fine') });
      try {
        const connection = await Connection.open(server.url);
        for (const priority of ['u=9', 'u=', ',', '"', 'u=1;;', 'i=2']) {
          const answer = await connection.get('/', { headers: [['priority', priority]] });
          assert.equal(answer.text, 'fine', priority);
        }
      } finally {
        await server.stop(true);
        server.close();
      }
    },
  },
];
