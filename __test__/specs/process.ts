import assert from 'node:assert/strict';
import process from 'node:process';
import { Child } from '../harness/child.js';
import { Connection } from '../harness/connection.js';
import type { Exit } from '../harness/running-program.js';
import type { Spec } from './spec.js';

/** Runs a scenario; a child that is still there at the end, because something failed, is killed. */
async function playing(scenario: string, run: (child: Child) => Promise<void>): Promise<void> {
  const child = new Child(scenario);
  try {
    await run(child);
  } catch (error) {
    child.signal('SIGKILL');
    throw error;
  }
}

/** Asserts that a process ended with `code`, not by a signal and not with a crash. */
function assertExit(exit: Exit, code: number): void {
  const { signal, code: actual, complaints } = exit;
  assert.deepEqual({ code: actual, signal }, { code, signal: null }, complaints);
  assert.doesNotMatch(complaints, /panicked|SIGSEGV|fatal runtime error|core dumped/i);
}

function connect(port: number): Promise<Connection> {
  return Connection.open(`https://127.0.0.1:${port}`);
}

/** A fact: after its server went this way, with a client that stays, the process ends by itself with code 0. */
function endsByItself(name: string, scenario: string): Spec {
  return {
    name: `a process ends by itself ${name}`,
    run: () =>
      playing(scenario, async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        assert.equal((await connection.get()).text, 'hello');
        child.tellLast();
        assertExit(await child.exit(5000), 0);
      }),
  };
}

/** A fact about a signal: it ends the process as it ends any other, at once. */
function endsBySignal(name: NodeJS.Signals): Spec {
  return {
    name: `${name} ends a process with answers under way`,
    run: () =>
      playing('waitsForSignal', async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        const open = await connection.open();
        await open.read(1000);
        child.signal(name);
        const { signal, code } = await child.exit(5000);
        const byConvention = name === 'SIGTERM' ? 143 : 130;
        assert.ok(signal === name || code === byConvention, `${signal} ${code}`);
      }),
  };
}

const POSIX = process.platform !== 'win32';

export const specs: Spec[] = [
  endsByItself('after close()', 'closes'),
  endsByItself('after stop()', 'stops'),
  endsByItself('after await using', 'disposes'),
  {
    name: 'a process whose only server is unref()ed ends while it listens',
    run: () =>
      playing('unreferenced', async (child) => {
        assertExit(await child.exit(5000), 0);
      }),
  },
  {
    name: 'a server keeps its process alive',
    run: () =>
      playing('referenced', async (child) => {
        const [port] = await child.ready();
        await assert.rejects(child.exit(1000), /waited 1000 ms/, 'it is alive');
        assert.ok((port as number) > 0);
      }),
  },
  {
    name: 'a process in which a second server could not start ends by itself',
    run: () =>
      playing('failsToStart', async (child) => {
        const exit = await child.exit(5000);
        assertExit(exit, 0);
        assert.match(exit.output, /ERR_H3_ADDRESS_IN_USE/);
      }),
  },
  {
    name: 'process.exit() with requests and streams under way ends with its code',
    run: () =>
      playing('exits', async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        void Promise.all(Array.from({ length: 10 }, () => connection.get()));
        assertExit(await child.exit(5000), 7);
      }),
  },
  {
    name: 'an error that nobody catches ends the process with code 1 and no crash',
    run: () =>
      playing('throwsInTimer', async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        void connection.get();
        const exit = await child.exit(5000);
        assertExit(exit, 1);
        assert.match(exit.complaints, /uncaught/);
      }),
  },
  ...(POSIX ? [endsBySignal('SIGTERM'), endsBySignal('SIGINT')] : []),
  {
    name: 'a worker terminated with work in flight takes its server along, and the main thread serves on',
    run: () =>
      playing('terminatesWorker', async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        assert.equal((await connection.get('/ping')).text, 'worker');
        const open = await connection.open();
        await open.read(1000);
        await connection.open({ path: '/never', read: 'none' });
        child.tell();
        await connection.closed();
        const [mainPort] = await child.ready(2);
        const toMain = await connect(mainPort as number);
        assert.equal((await toMain.get()).text, 'main');
        child.tellLast();
        assertExit(await child.exit(5000), 0);
      }),
  },
  {
    name: 'of two workers with servers one may be terminated without the other noticing',
    run: () =>
      playing('twoWorkers', async (child) => {
        const ports = await child.ready();
        const [first, second] = await Promise.all(ports.map(connect));
        assert.ok(first !== undefined && second !== undefined);
        await first.open();
        const open = await second.open();
        await open.read(1000);
        child.tell();
        await first.closed();
        assert.equal((await second.get('/ping')).text, 'worker');
        assert.ok((await open.read(1000)).length >= 1000);
        child.tellLast();
        assertExit(await child.exit(5000), 0);
      }),
  },
  {
    name: 'servers in workers that follow one another all serve: the IO thread starts anew',
    run: () =>
      playing('workersInTurn', async (child) => {
        for (let round = 1; round <= 5; round++) {
          const [port] = await child.ready(round);
          const connection = await connect(port as number);
          assert.equal((await connection.get('/ping')).text, 'worker');
          await connection.open();
          if (round === 5) break;
          child.tell();
          await connection.closed();
        }
        child.tellLast();
        assertExit(await child.exit(5000), 0);
      }),
  },
  {
    name: 'collecting garbage all the time breaks nothing',
    run: () =>
      playing('collectsGarbage', async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        for (let round = 0; round < 5; round++) {
          const bodies = Array.from({ length: 20 }, (_, n) => `${round} ${n} `.repeat(500));
          const answers = await Promise.all(
            bodies.map((body) => connection.request({ method: 'POST', body })),
          );
          for (const [n, answer] of answers.entries()) assert.equal(answer.text, bodies[n]);
        }
        child.tellLast();
        assertExit(await child.exit(5000), 0);
      }),
  },
  {
    name: 'a server that nobody holds is not collected',
    run: () =>
      playing('forgets', async (child) => {
        const [port] = await child.ready();
        const connection = await connect(port as number);
        for (let n = 0; n < 20; n++) {
          assert.equal((await connection.get()).text, 'still here');
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        child.tellLast();
        assertExit(await child.exit(5000), 0);
      }),
  },
];
