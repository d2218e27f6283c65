import assert from 'node:assert/strict';
import type { H3ServeOptions } from 'trilane';
import { Connection } from '../harness/connection.js';
import { LossyPath, type Misfortunes } from '../harness/lossy-path.js';
import {
  hashStream,
  IS_STRESS,
  MEBIBYTE,
  pattern,
  patternHash,
  patternResponse,
} from '../harness/pattern.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const BYTES = (IS_STRESS ? 20 : 2) * MEBIBYTE;
const PATIENCE_MS = IS_STRESS ? 600_000 : 25_000;

/** One datagram in ten is lost, and some of the rest are repeated, overtaken or damaged. */
const BAD: Misfortunes = { drop: 0.1, duplicate: 0.05, delay: 0.1, corrupt: 0.02 };

const OPTIONS: H3ServeOptions = {
  routes: [
    { method: 'POST', pattern: '/', mode: 'streaming', fetch: hashStream },
    { method: 'GET', pattern: '/', fetch: () => patternResponse(pattern(BYTES)) },
  ],
};

function acrossBadPath(
  name: string,
  seed: number,
  transfer: (connection: Connection) => Promise<string>,
): Spec {
  return {
    name: `across a path that drops, repeats, reorders and damages packets, ${BYTES / MEBIBYTE} MiB ${name}, nothing is lost`,
    ms: PATIENCE_MS + 5_000,
    run: () =>
      withServer(OPTIONS, async ({ server }) => {
        const path = await LossyPath.open(server.port, BAD, seed);
        try {
          const connection = await Connection.open(path.url, { patienceMs: PATIENCE_MS });
          assert.equal(await transfer(connection), patternHash(BYTES));
          await connection.close();
        } finally {
          path.close();
        }
        const { datagrams, ...happened } = path.tally;
        for (const [what, times] of Object.entries(happened)) {
          const share = times / datagrams;
          assert.ok(share > BAD[what as keyof Misfortunes] / 2, `${what}: ${times} of ${datagrams}`);
        }
      }),
  };
}

export const specs: Spec[] = [
  acrossBadPath('up', 1, async (connection) => {
    const answer = await connection.request({ method: 'POST', bodySize: BYTES, patienceMs: PATIENCE_MS });
    return answer.text;
  }),
  acrossBadPath('down', 2, async (connection) => {
    const answer = await connection.get('/', { patienceMs: PATIENCE_MS });
    assert.equal(answer.error, null);
    return answer.sha256;
  }),
  acrossBadPath('up and down at once', 3, async (connection) => {
    const [up, down] = await Promise.all([
      connection.request({ method: 'POST', bodySize: BYTES, patienceMs: PATIENCE_MS }),
      connection.get('/', { patienceMs: PATIENCE_MS }),
    ]);
    assert.equal(up.text, down.sha256);
    return down.sha256;
  }),
];
