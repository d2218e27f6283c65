import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../harness/deadline.js';
import { withFolder } from '../harness/folder.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const fetch = (): Response => new Response('hello');

/** One event of a qlog trace, as draft-ietf-quic-qlog-main-schema has them. */
interface QlogEvent {
  readonly time: number;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The records of a JSON text sequence (RFC 7464): each begins with a record separator and ends with a line feed. */
function records(text: string): unknown[] {
  const [before, ...parts] = text.split('\u001e');
  assert.equal(before, '', 'a sequence begins with a record separator');
  return parts.map((part) => {
    assert.ok(part.endsWith('\n'), 'a record ends with a line feed');
    return JSON.parse(part) as unknown;
  });
}

export const specs: Spec[] = [
  {
    name: 'qlogDir gets one file for each connection, with its packets and recovery metrics',
    run: () =>
      withFolder(async (folder) => {
        await withServer({ qlogDir: folder, fetch }, async ({ connection, connect }) => {
          assert.equal((await connection.get()).text, 'hello');
          const second = await connect();
          assert.equal((await second.request({ method: 'POST', bodySize: 200_000 })).text, 'hello');
        });
        const files = readdirSync(folder);
        assert.equal(files.length, 2);
        const lengths = files.map((file) => {
          assert.match(file, /^[0-9a-f]{16,40}_server\.sqlog$/);
          const [head, ...events] = records(readFileSync(join(folder, file), 'utf8'));
          assert.equal((head as { qlog_format: unknown }).qlog_format, 'JSON-SEQ');
          const names = (events as QlogEvent[]).map(({ name }) => name.split(':').pop());
          for (const name of ['packet_sent', 'packet_received', 'metrics_updated']) {
            assert.ok(names.includes(name), `${file} has no ${name}: ${[...new Set(names)].join(', ')}`);
          }
          const times = (events as QlogEvent[]).map(({ time }) => time);
          assert.deepEqual(
            times,
            [...times].sort((a, b) => a - b),
            'events are in their order',
          );
          return names.filter((name) => name === 'packet_received').length;
        });
        assert.ok(Math.max(...lengths) > 100, `200,000 bytes came in ${Math.max(...lengths)} packets`);
      }),
  },
  {
    name: 'a qlogDir that vanishes does not touch connections',
    run: () =>
      withFolder((folder) =>
        withServer({ qlogDir: folder, fetch }, async ({ connection, connect }) => {
          rmSync(folder, { recursive: true });
          assert.equal((await connection.get()).text, 'hello');
          assert.equal((await (await connect()).get()).text, 'hello');
        }),
      ),
  },
  {
    name: 'keyLog gets the secrets of each connection in the NSS key log format',
    run: () =>
      withFolder(async (folder) => {
        const keyLog = join(folder, 'keys.txt');
        await withServer({ keyLog, fetch }, async ({ connection, connect }) => {
          await connection.get();
          await (await connect()).get();
          const lines = (): string[] => readFileSync(keyLog, 'utf8').trimEnd().split('\n');
          await until('the secrets of two connections', () => {
            const randoms = lines().map((line) => line.split(' ')[1]);
            return new Set(randoms).size === 2;
          });
          for (const line of lines()) assert.match(line, /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,96}$/);
          for (const label of ['CLIENT_TRAFFIC_SECRET_0', 'SERVER_TRAFFIC_SECRET_0']) {
            assert.equal(lines().filter((line) => line.startsWith(`${label} `)).length, 2, label);
          }
        });
      }),
  },
];
