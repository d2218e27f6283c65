// The examples with datagrams and sessions, each as a reader starts it, on the runtime that runs this. Their clients are ours,
// Bun's QUIC, and Deno's QUIC and WebTransport.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Connection } from '../harness/connection.js';
import { until } from '../harness/deadline.js';
import { Example, foreignRuntime } from '../harness/example.js';
import { pattern, patternHash } from '../harness/pattern.js';
import { type Folder, withFolder } from '../harness/scratch.js';
import type { Spec } from './spec.js';

const MANY_BYTES = 3_000_000;

/** Runs `use` with the example for uploads and the folder that it fills. */
function withUploads(use: (example: Example, folder: Folder) => Promise<void>): Promise<void> {
  return withFolder((folder) =>
    Example.with('upload/server.mjs', (example) => use(example, folder), { args: [folder.path] }),
  );
}

/** Uploads as the page does; returns the lines that the server said. */
async function uploadBySession(example: Example, name: string, size: number, sent = size): Promise<string[]> {
  const deno = foreignRuntime('deno');
  if (deno === null) return [];
  const script = '../__test__/children/session-upload.js';
  const args = [(await example.page()).href, name, `${size}`, `${sent}`];
  const client = new Example(script, { args, runtime: deno });
  try {
    assert.equal(await client.exit(20_000), '0', client.complaints);
    return client.output.trim().split('\n');
  } finally {
    client.kill();
  }
}

/** Runs the sender of telemetry against the receiver; returns what the receiver says at its end. */
async function telemetry(runtime: 'bun' | 'deno' | 'own', ...args: string[]): Promise<string | null> {
  const foreign = runtime === 'own' ? undefined : foreignRuntime(runtime);
  if (foreign === null) return null;
  let total = '';
  await Example.with('telemetry/server.mjs', async (receiver) => {
    const [url = '', hash = ''] = (await receiver.prints(/sender\.mjs (\S+ \S+)/)).split(' ');
    const sender = new Example('telemetry/sender.mjs', {
      args: [url, hash, ...args],
      ...(foreign !== undefined && { runtime: foreign }),
    });
    try {
      assert.equal(await sender.exit(20_000), '0');
      assert.match(sender.output, /^connected; a datagram can have \d{4} bytes$/m);
    } finally {
      sender.kill();
    }
    total = await receiver.prints(/gone: (.*)/);
    assert.match(
      receiver.output,
      /\d+ packets\/s {2}\d+\.\d kB\/s {2}lost \d+\.\d % {2}last value \d\d\.\d\d/,
    );
  });
  return total;
}

export const specs: Spec[] = [
  {
    name: 'upload: a PUT is stored whole, and its name leads nowhere else',
    run: () =>
      withUploads(async (example, folder) => {
        const connection = await Connection.open(await example.url());
        const put = (path: string) => connection.request({ method: 'PUT', path, bodySize: MANY_BYTES });
        const stored = await put('/files/a%20b.bin');
        assert.equal(stored.status, 201);
        const expected = { name: 'a b.bin', bytes: MANY_BYTES, sha256: patternHash(MANY_BYTES) };
        assert.deepEqual(stored.json, expected);
        assert.equal(readFileSync(folder.at('a b.bin')).length, MANY_BYTES);
        for (const name of ['.hidden', '..%2foutside', '%2e%2e%2foutside', '..%5coutside', 'a%00b', '%0a']) {
          const refused = await put(`/files/${name}`);
          assert.ok(refused.status >= 400 && refused.status < 500, `${name}: ${refused.status}`);
        }
        assert.deepEqual(readdirSync(folder.path), ['a b.bin']);
        await connection.close();
      }),
  },
  {
    name: 'upload: a PUT that breaks off leaves nothing behind',
    run: () =>
      withUploads(async (example, folder) => {
        const connection = await Connection.open(await example.url());
        const open = await connection.open({
          method: 'PUT',
          path: '/files/half.bin',
          body: 'half',
          keepOpen: true,
          read: 'none',
        });
        await until('the file to be begun', () => readdirSync(folder.path).length === 1);
        await open.cancel();
        await until('the file to be gone', () => readdirSync(folder.path).length === 0);
        await connection.close();
      }),
  },
  {
    name: 'upload: a stream of a session is stored, and the server says how much has come',
    run: () =>
      withUploads(async (example, folder) => {
        const lines = await uploadBySession(example, 'by session.bin', MANY_BYTES);
        if (lines.length === 0) return;
        assert.equal(lines.at(-1), 'ended');
        const heard = lines.slice(0, -1).map((line) => JSON.parse(line) as Record<string, unknown>);
        const expected = { name: 'by session.bin', bytes: MANY_BYTES, sha256: patternHash(MANY_BYTES) };
        assert.deepEqual(heard.at(-1), { done: expected });
        const counts = heard.slice(0, -1).map(({ received }) => received as number);
        assert.ok(counts.length > 0 && counts.every((count, n) => count > (counts[n - 1] ?? 0)), `${counts}`);
        assert.deepEqual(readFileSync(folder.at('by session.bin')), Buffer.concat([...pattern(MANY_BYTES)]));
      }),
  },
  {
    name: 'upload: a session that ends early leaves nothing behind, and a bad name is refused',
    run: () =>
      withUploads(async (example, folder) => {
        if (foreignRuntime('deno') === null) return;
        const uploading = uploadBySession(example, 'half.bin', MANY_BYTES, MANY_BYTES / 2);
        await until('the file to be begun', () => readdirSync(folder.path).length === 1);
        await uploading;
        await until('the file to be gone', () => readdirSync(folder.path).length === 0);
        const refused = await uploadBySession(example, '../outside', 5);
        assert.match(refused[0] ?? '', /^\{"error":"that is no name for a file"\}$/);
        assert.deepEqual(readdirSync(folder.path), []);
      }),
  },
  {
    name: "telemetry: what Bun's QUIC leaves out on purpose is counted as lost",
    async run() {
      const total = await telemetry('bun', '--rate', '500', '--seconds', '2', '--lose', '20');
      if (total === null) return;
      const [, came, of, lost] = /^(\d+) of (\d+) packets came, lost ([\d.]+) %$/.exec(total) ?? [];
      assert.ok(Number(of) > 900 && Number(of) <= 1000, total);
      assert.ok(Number(came) > 0.7 * Number(of) && Number(came) < 0.9 * Number(of), total);
      assert.ok(Number(lost) > 10 && Number(lost) < 30, total);
    },
  },
  {
    name: "telemetry: Deno's QUIC is understood, too",
    async run() {
      const total = await telemetry('deno', '--rate', '100', '--seconds', '1.5');
      if (total !== null) assert.match(total, /^1[45]\d of 1[45]\d packets came, lost \d\.\d %$/);
    },
  },
  {
    name: 'telemetry: the QUIC of this package, where the runtime has none',
    async run() {
      const total = await telemetry('own', '--rate', '100', '--seconds', '1.5');
      if (total !== null) assert.match(total, /^1[45]\d of 1[45]\d packets came, lost \d\.\d %$/);
    },
  },
  {
    name: 'game-loop: bots get 30 states a second, their keys arrive, and they score',
    run: () =>
      Example.with('game-loop/server.mjs', async (example) => {
        const args = [(await example.page()).href, '4'];
        const bots = [1, 2].map(() => new Example('game-loop/bot.mjs', { args }));
        try {
          let scores = 0;
          for (const bot of bots) {
            assert.equal(await bot.exit(20_000), '0', bot.complaints);
            const { score, snapshots, inputs, lastInput } = JSON.parse(bot.output) as Record<string, number>;
            scores += score ?? 0;
            assert.ok((snapshots ?? 0) >= 60 && (snapshots ?? 0) <= 130, bot.output);
            assert.ok((lastInput ?? 0) > 0.5 * (inputs ?? 0), bot.output);
          }
          // They run for the same sparks: one of them may come late each time.
          assert.ok(scores >= 1);
        } finally {
          for (const bot of bots) bot.kill();
        }
      }),
  },
  {
    name: 'game-loop: what is no input does no harm',
    async run() {
      // The same in a browser and in Node: the protocol is a module of both.
      const { decodeInput, decodeSnapshot, encodeInput, encodeSnapshot } = (await import(
        fileURLToPath(new URL('../../examples/game-loop/protocol.js', import.meta.url))
      )) as Record<string, (...given: unknown[]) => unknown>;
      for (const bytes of [[], [1], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6]]) {
        assert.equal(decodeInput?.(Uint8Array.from(bytes)), null);
      }
      assert.deepEqual(decodeInput?.(encodeInput?.({ number: 7, keys: 5 })), { number: 7, keys: 5 });
      const player = { id: 3, x: 10, y: 20, score: 4, keys: 1, lastInput: 9 };
      const world = { tick: 8, players: new Map([[3, player]]), sparks: [{ x: 1, y: 2 }] };
      assert.deepEqual(decodeSnapshot?.(encodeSnapshot?.(world, 3)), {
        tick: 8,
        lastInput: 9,
        you: 3,
        players: new Map([[3, { x: 10, y: 20, score: 4 }]]),
        sparks: [{ x: 1, y: 2 }],
      });
    },
  },
];
