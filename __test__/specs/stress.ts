import assert from 'node:assert/strict';
import process from 'node:process';
import type { H3ServeOptions } from 'trilane';
import { Connection } from '../harness/connection.js';
import { until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import {
  hashStream,
  hashWhole,
  IS_STRESS,
  MEBIBYTE,
  pattern,
  patternHash,
  patternResponse,
} from '../harness/pattern.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const PATIENCE_MS = IS_STRESS ? 280_000 : 25_000;

/** What a server may need for a large body beside the body's windows and what its runtime collects late. */
const MOST_GROWTH_BYTES = 96 * MEBIBYTE;

const OPTIONS: H3ServeOptions = {
  maxBodyBytes: 16 * MEBIBYTE,
  routes: [
    { method: 'GET', pattern: '/', fetch: () => new Response('hello') },
    { method: 'POST', pattern: '/whole', fetch: hashWhole },
    { method: 'POST', pattern: '/stream', mode: 'streaming', fetch: hashStream },
    {
      method: 'GET',
      pattern: '/bytes/:length',
      fetch: ({ params }) => patternResponse(pattern(Number(params['length']))),
    },
  ],
};

/** A fact about the server of {@link OPTIONS}. */
function fact(name: string, run: (stage: Stage) => Promise<void>, options: H3ServeOptions = {}): Spec {
  return { name, ms: PATIENCE_MS + 20_000, run: () => withServer({ ...OPTIONS, ...options }, run) };
}

async function upload(
  connection: Connection,
  path: string,
  bodySize: number,
  chunkSize?: number,
): Promise<void> {
  const chunks = chunkSize === undefined ? {} : { chunkSize };
  const how = { method: 'POST', path, bodySize, patienceMs: PATIENCE_MS, ...chunks };
  const answer = await connection.request(how);
  assert.deepEqual([answer.error, answer.text], [null, patternHash(bodySize)]);
}

async function download(connection: Connection, length: number): Promise<void> {
  const answer = await connection.get(`/bytes/${length}`, { patienceMs: PATIENCE_MS });
  assert.deepEqual([answer.error, answer.length, answer.sha256], [null, length, patternHash(length)]);
}

function times<Value>(count: number, make: (nth: number) => Promise<Value>): Promise<Value[]> {
  return Promise.all(Array.from({ length: count }, (_, nth) => make(nth)));
}

const CONCURRENT = IS_STRESS ? 1_000 : 150;
const UPLOAD_MIB = IS_STRESS ? 10 : 1;
const DOWNLOAD_MIB = IS_STRESS ? 128 : 8;
const VISITS = IS_STRESS ? 500 : 60;

export const specs: Spec[] = [
  fact(`${CONCURRENT} requests at once`, async ({ server, connection, connect }) => {
    const connections = [connection, ...(await times(4, () => connect()))];
    const answers = await times(CONCURRENT, (nth) =>
      (connections[nth % connections.length] as Connection).get('/', { patienceMs: PATIENCE_MS }),
    );
    for (const answer of answers) assert.equal(answer.text, 'hello');
    assert.equal(server.getStats().requests, BigInt(CONCURRENT));
  }),
  fact(`10 uploads of ${UPLOAD_MIB} MiB at once, buffered and streamed`, async ({ connection, connect }) => {
    const second = await connect();
    await times(10, (nth) =>
      upload(nth < 5 ? connection : second, nth % 2 === 0 ? '/whole' : '/stream', UPLOAD_MIB * MEBIBYTE),
    );
  }),
  ...['/whole', '/stream'].map((path) =>
    fact(`an upload of 5 MB in chunks of 64 KB to ${path}`, ({ connection }) =>
      upload(connection, path, 5_000_000, 64_000),
    ),
  ),
  fact('3 times 2 MB up and 3 times 2 MB down at once on one connection', async ({ connection }) => {
    await Promise.all([
      times(3, () => upload(connection, '/stream', 2_000_000)),
      times(3, () => download(connection, 2_000_000)),
    ]);
  }),
  fact(`a download of ${DOWNLOAD_MIB} MiB, which takes no memory`, async ({ connection }) => {
    // What the runtime and the server need once is there before the measurement.
    await download(connection, 2 * MEBIBYTE);
    const before = process.memoryUsage().rss;
    await download(connection, DOWNLOAD_MIB * MEBIBYTE);
    const grown = process.memoryUsage().rss - before;
    measuredMemory(grown, 'the download went out');
    if (IS_STRESS) assert.ok(grown < MOST_GROWTH_BYTES, `${Math.round(grown / MEBIBYTE)} MiB more`);
  }),
  fact(`${VISITS} connections that come and go`, async ({ server }) => {
    const lanes = 6;
    await times(lanes, async () => {
      for (let visit = 0; visit < VISITS / lanes; visit++) {
        const connection = await Connection.open(server.url, { patienceMs: PATIENCE_MS });
        // Every third one leaves without a word.
        if (visit % 3 !== 0) assert.equal((await connection.get()).text, 'hello');
        await connection.close();
      }
    });
    // A client may be gone before the server has seen the end of its handshake.
    await until('all to have come and gone', () => {
      const { connectionsActive, connectionsTotal } = server.getStats();
      return connectionsActive === 1 && connectionsTotal >= BigInt(VISITS);
    });
    assert.equal(server.getStats().handshakesFailed, 0n);
  }),
  fact(
    'connections that drop in the middle of an upload and a download leave nothing behind, and others do not notice',
    async ({ server, log, connection, connect }) => {
      const lost = await times(4, () => connect());
      const size = 100 * MEBIBYTE;
      for (const each of lost) {
        void each.request({ method: 'POST', path: '/stream', bodySize: size, chunkDelayMs: 5 });
        void each.get(`/bytes/${size}`, { readDelayMs: 5 });
      }
      await until('all of them to be under way', () => server.getStats().requestsActive === 8);
      await Promise.all(lost.map((each) => each.vanish()));
      while (server.getStats().connectionsActive > 1) {
        assert.equal((await connection.get()).text, 'hello');
      }
      await until('the requests to be over', () => server.getStats().requestsActive === 0);
      // The handlers that read an upload hear of it; what they throw is no news when the client is gone.
      assert.deepEqual(log.take(), []);
      // A handler that heard of the end through its body may have answered, in vain, before its request was aborted.
      assert.ok(server.getStats().requestsAborted >= 4n);
    },
    { limits: { idleTimeoutMs: 2_000 } },
  ),
];
