// How processes with clients end, and that nothing is left pending.

import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import process from 'node:process';
import type { H3Client } from '../../lib/client/client.js';
import { Child } from '../harness/child.js';
import { clientSpecs, withClient } from '../harness/client-stage.js';
import { soon, until } from '../harness/deadline.js';
import type { Spec } from './spec.js';

const PROGRAM = 'client-scenario.js';

/** A fact: a process ends by itself with `code`, having printed `output`. */
function ends(name: string, scenario: string, output: RegExp, code = 0): Spec {
  return {
    name,
    async run() {
      const exit = await new Child(scenario, {}, PROGRAM).exit(15_000);
      assert.deepEqual({ code: exit.code, signal: exit.signal }, { code, signal: null }, exit.complaints);
      assert.match(exit.output, output);
      assert.doesNotMatch(exit.complaints, /panicked|SIGSEGV|fatal runtime error|core dumped/i);
    },
  };
}

function endsBySignal(name: NodeJS.Signals): Spec {
  return {
    name: `${name} ends a process with requests under way`,
    async run() {
      const child = new Child('waitsForSignal', {}, PROGRAM);
      await child.printed('begun');
      child.signal(name);
      const { signal, code } = await child.exit(5_000);
      assert.ok(signal === name || code === (name === 'SIGTERM' ? 143 : 130), `${signal} ${code}`);
    },
  };
}

/** A fact: the server of a process that ends as `how` says hears of it at once, not when the connection was silent for long. */
function saysSo(name: string, how: string): Spec {
  const never = (): Promise<Response> => new Promise(() => undefined);
  const answer = ({ url }: Request) => (url.endsWith('/never') ? never() : new Response('hello'));
  return {
    name,
    run: () =>
      withClient(answer, async ({ server, at }) => {
        const hash = Buffer.from(server.certificateHash).toString('hex');
        const child = new Child('leaves', { LEAVE: how, SERVER: at('/'), HASH: hash }, PROGRAM);
        await child.printed('leaving');
        assert.equal((await child.exit(15_000)).code, 0);
        await until('the end of its connection', () => server.getStats().connectionsActive === 0, 2_000);
      }),
  };
}

const POSIX = process.platform !== 'win32';

/** All that a program can wait for, each with what begins it. */
async function everyPromise(client: H3Client, at: (path: string) => string, silent: string) {
  const never = at('/never');
  const half = await client.fetch(at('/half'));
  const read = await client.fetch(at('/half'));
  const reader = read.body?.getReader();
  await reader?.read();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(10)),
  });
  const tunnel = await client.request(at('/tunnel'), { method: 'CONNECT', protocol: 'echo' });
  return {
    'a request without a connection': client.fetch(silent),
    'a request without a response': client.fetch(never),
    'an upload': client.fetch(never, { method: 'POST', body, duplex: 'half' }),
    'a large whole body': client.fetch(never, { method: 'POST', body: new Uint8Array(8 << 20) }),
    'the content of a response': half.text(),
    'the trailers of a response': half.trailers,
    'a piece of a response': reader?.read(),
    'a datagram of a request': tunnel.datagrams.readable.getReader().read(),
    'the content of a tunnel': tunnel.response.text(),
    'a request with datagrams': client.request(never),
    'close()': client.close(),
    closed: client.closed,
  };
}

export const specs = clientSpecs([
  ends('a process whose client is idle ends by itself', 'idle', /hello/),
  ends('a body that nobody reads on keeps no process alive', 'unread', /read/),
  ends('a process waits for the head of a response', 'waitsForHead', /slow/),
  ends('a process waits for the rest of a body', 'waitsForBody', /piece piece/),
  ends('a process whose client is unref()ed waits for nothing', 'unreferenced', /^(begun\n)?$/),
  ends('a process ends by itself after close()', 'closes', /closed/),
  ends('a process ends by itself after destroy()', 'destroys', /ERR_H3_CLIENT_CLOSED/),
  saysSo('the server hears of a process that ends with an idle client', 'idle'),
  saysSo('the server hears of a process that aborted its request', 'abort'),
  saysSo('the server hears of a process that ends behind destroy()', 'destroy'),
  saysSo('the server hears of a process that ends by process.exit()', 'exit'),
  ends('process.exit() with requests under way ends with its code', 'exits', /^$/, 7),
  ends(
    'a worker terminated with requests under way takes them along, and the main thread goes on',
    'terminatesWorker',
    /hello/,
  ),
  ends('a client that nobody holds closes its connections', 'forgets', /^0 left/),
  ...(POSIX ? [endsBySignal('SIGTERM'), endsBySignal('SIGINT')] : []),
  {
    name: 'no promise stays pending behind destroy()',
    async run() {
      const socket = createSocket('udp4').bind(0, '127.0.0.1');
      await once(socket, 'listening');
      try {
        await withClient(
          (request) => {
            if (!request.url.endsWith('/half')) return new Promise<Response>(() => undefined);
            return new Response(
              new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(10)) }),
            );
          },
          async ({ server, client, at }) => {
            const silent = `https://127.0.0.1:${socket.address().port}/`;
            const waiting = await everyPromise(client, at, silent);
            const settled = Object.entries(waiting).map(async ([name, promise]) => {
              const outcome = await soon(name, Promise.allSettled([promise]));
              return [name, outcome[0]?.status] as const;
            });
            client.destroy();
            for (const [name, status] of await Promise.all(settled)) {
              const expected = name === 'close()' || name === 'closed' ? 'fulfilled' : 'rejected';
              if (name === 'a datagram of a request') assert.ok(status !== undefined);
              else assert.equal(status, expected, name);
            }
            await until('no request', () => server.getStats().requestsActive === 0);
          },
          {
            server: {
              routes: [
                {
                  method: 'CONNECT',
                  pattern: '/tunnel',
                  protocol: 'echo',
                  mode: 'streaming',
                  fetch: () => new Response(new ReadableStream({})),
                  h3Datagram: () => undefined,
                },
              ],
            },
          },
        );
      } finally {
        socket.close();
      }
    },
  },
]);
