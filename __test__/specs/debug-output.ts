import assert from 'node:assert/strict';
import { Child } from '../harness/child.js';
import { Connection } from '../harness/connection.js';
import type { Spec } from './spec.js';

/** What a process prints on standard error that serves two requests, with this in its environment. */
async function printed(env: Readonly<Record<string, string>>): Promise<string[]> {
  const child = new Child('stops', env);
  const [port] = await child.ready();
  const connection = await Connection.open(`https://127.0.0.1:${port}`);
  assert.equal((await connection.get('/one')).text, 'hello');
  assert.equal((await connection.get('/two')).text, 'hello');
  child.tellLast();
  await connection.closed();
  const { code, complaints } = await child.exit();
  assert.equal(code, 0, complaints);
  return complaints
    .split('\n')
    .filter((line) => /^\S+ +(TRACE|DEBUG|INFO|WARN|ERROR) |trilane: TRILANE_DEBUG/.test(line));
}

export const specs: Spec[] = [
  {
    name: 'TRILANE_DEBUG=1 prints what happens on each connection, with its id in each line',
    async run() {
      const lines = await printed({ TRILANE_DEBUG: '1' });
      const [id] = /connection\{id=([0-9a-f]{32})\}/.exec(lines.join('\n'))?.slice(1) ?? [];
      assert.ok(id, lines.join('\n'));
      for (const event of [
        'connection opened',
        'method=GET path=/one',
        'method=GET path=/two',
        'status=200 bytes=5',
        'connection closed',
      ]) {
        const [line] = lines.filter((one) => one.includes(event));
        assert.ok(line, `${event} is not in ${lines.join('\n')}`);
        assert.ok(line.includes(`connection{id=${id}}`), line);
        assert.match(line, / DEBUG .*: trilane_core::/);
      }
      assert.ok(lines.every((line) => line.includes('trilane')));
    },
  },
  {
    name: 'it takes targets with levels; what it cannot read is said, and the server runs',
    async run() {
      const quinn = await printed({ TRILANE_DEBUG: 'quinn_proto=trace' });
      assert.ok(quinn.length > 0 && quinn.every((line) => line.includes('quinn_proto')), quinn[0]);
      const [wrong, ...more] = await printed({ TRILANE_DEBUG: 'trilane=loudly' });
      assert.match(
        wrong ?? '',
        /TRILANE_DEBUG is "trilane=loudly": .*expected 1, a level, or targets with levels/,
      );
      assert.deepEqual(more, []);
    },
  },
  {
    name: 'without it, or with 0, nothing is printed',
    async run() {
      for (const env of [{ TRILANE_DEBUG: '' }, { TRILANE_DEBUG: '0' }])
        assert.deepEqual(await printed(env), []);
    },
  },
];
