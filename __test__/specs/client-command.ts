// `trilane get` and `trilane ping` against a server of this package.

import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { withTrailers } from 'trilane';
import { EXIT } from '../../lib/cli/exit-code.js';
import { get } from '../../lib/cli/get.js';
import type { Sink } from '../../lib/cli/terminal.js';
import { type Answering, type ClientStage, clientSpecs, withClient } from '../harness/client-stage.js';
import { CommandLine } from '../harness/command-line.js';
import { until } from '../harness/deadline.js';
import { withFolder } from '../harness/scratch.js';

const answers: Answering = async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === '/moved') return new Response('moved', { status: 302, headers: { location: '/' } });
  if (pathname === '/none') return new Response('none', { status: 404 });
  if (pathname === '/bytes') return new Response(new Uint8Array([0xff, 0xfe]));
  if (pathname === '/binary') return new Response(new Uint8Array([1, 0, 2]));
  if (pathname === '/slow') return new Promise<Response>(() => undefined);
  const seen = {
    method: request.method,
    type: request.headers.get('content-type'),
    x: request.headers.get('x-a'),
  };
  const response = new Response(`${JSON.stringify({ ...seen, body: await request.text() })}\n`, {
    headers: { 'x-head': 'yes' },
  });
  return withTrailers(response, { 'x-trailer': 'end' });
};

/** The options that trust the server of `stage`. */
function pin({ server }: ClientStage): string[] {
  return ['--pin', Buffer.from(server.certificateHash).toString('hex')];
}

export const specs = clientSpecs([
  {
    name: 'get prints the body, and nothing else',
    run: () =>
      withClient(answers, async (stage) => {
        const { code, output, complaints } = await CommandLine.run('get', ...pin(stage), stage.at('/'));
        assert.deepEqual([code, complaints], [0, '']);
        assert.deepEqual(JSON.parse(output), { method: 'GET', type: null, x: null, body: '' });
      }),
  },
  {
    name: 'get sends data, from the command line, a file or standard input, with method and headers as asked',
    run: () =>
      withFolder((folder) =>
        withClient(answers, async (stage) => {
          const run = async (input: string | null, ...more: string[]): Promise<unknown> => {
            const command = new CommandLine('get', stage.at('/'), ...pin(stage), ...more);
            if (input !== null) command.feed(input);
            return JSON.parse((await command.exit()).output);
          };
          const form = 'application/x-www-form-urlencoded';
          const posted = { method: 'POST', type: form, x: null };
          assert.deepEqual(await run(null, '-d', 'a=b', '-d', 'c=d'), { ...posted, body: 'a=b&c=d' });
          const file = folder.file('data', 'from a file');
          assert.deepEqual(await run(null, '-d', `@${file}`), { ...posted, body: 'from a file' });
          assert.deepEqual(await run('typed', '-d', '@-'), { ...posted, body: 'typed' });
          assert.deepEqual(
            await run(null, '-X', 'PUT', '-H', 'X-A: 1', '-H', 'content-type: a/b', '-d', 'x'),
            {
              method: 'PUT',
              type: 'a/b',
              x: '1',
              body: 'x',
            },
          );
        }),
      ),
  },
  {
    name: 'get -i and -I print the head, -v what goes on, -t the times',
    run: () =>
      withClient(answers, async (stage) => {
        const run = (...more: string[]) => CommandLine.run('get', stage.at('/'), ...pin(stage), ...more);
        assert.match((await run('-i')).output, /^HTTP\/3 200\n(.*\n)*x-head: yes\n(.*\n)*\n\{"method":"GET"/);
        assert.match((await run('-I')).output, /^HTTP\/3 200\n(.*\n)*\n$/);
        const { output, complaints } = await run('-v', '-t');
        assert.match(output, /^\{"method"/);
        for (const line of [/^> GET \/ HTTP\/3$/m, /^< x-head: yes$/m, /^< x-trailer: end \(trailer\)$/m]) {
          assert.match(complaints, line);
        }
        assert.match(complaints, /^handshake .*, first byte .*, total /m);
      }),
  },
  {
    name: 'get --json tells everything in one document',
    run: () =>
      withClient(answers, async (stage) => {
        const run = async (path: string): Promise<Record<string, unknown>> =>
          JSON.parse((await CommandLine.run('get', '--json', stage.at(path), ...pin(stage))).output);
        const document = await run('/');
        assert.deepEqual([document['status'], document['url']], [200, stage.at('/')]);
        assert.deepEqual(document['trailers'], [['x-trailer', 'end']]);
        assert.equal(typeof (document['timing'] as Record<string, unknown>)['totalMs'], 'number');
        assert.equal((await run('/bytes'))['bodyBase64'], '//4=');
      }),
  },
  {
    name: 'get -o writes a file, -L follows redirects, and without it they are what was asked for',
    run: () =>
      withFolder((folder) =>
        withClient(answers, async (stage) => {
          const run = (...more: string[]) =>
            CommandLine.run('get', stage.at('/moved'), ...pin(stage), ...more);
          assert.equal((await run()).output, 'moved');
          const { output, complaints } = await run('-L', '-o', folder.at('out'));
          assert.deepEqual([output, complaints], ['', '']);
          assert.match(readFileSync(folder.at('out'), 'utf8'), /^\{"method":"GET"/);
          assert.equal((await run('-o', folder.at('not/here'))).code, 23);
        }),
      ),
  },
  {
    name: 'exit codes: 22 with -f, 28 after -m, 60 and 90 for certificates, 7 where nobody is, 130 after Ctrl-C',
    run: () =>
      withClient(answers, async (stage) => {
        const run = async (...parameters: string[]) => (await CommandLine.run('get', ...parameters)).code;
        assert.equal(await run(stage.at('/none'), ...pin(stage)), 0);
        assert.equal(await run(stage.at('/none'), ...pin(stage), '-f'), 22);
        assert.equal(await run(stage.at('/slow'), ...pin(stage), '-m', '0.3'), 28);
        assert.equal(await run(stage.at('/')), 60);
        assert.equal(await run(stage.at('/'), '--pin', '00'.repeat(32)), 90);
        assert.equal(await run('http://localhost/'), 3);
        if (process.platform === 'win32') return;
        const active = (): number => stage.server.getStats().requestsActive;
        await until('the end of the request that took too long', () => active() === 0);
        const slow = new CommandLine('get', stage.at('/slow'), ...pin(stage));
        await until('the request', () => active() > 0);
        slow.signal('SIGINT');
        assert.equal((await slow.exit()).code, 130);
      }),
  },
  {
    name: 'a certificate that is not trusted is answered with the options that trust it',
    run: () =>
      withClient(answers, async (stage) => {
        const { complaints } = await CommandLine.run('get', stage.at('/'));
        assert.match(complaints, /^trilane: the certificate of .+\n.*--ca FILE, --pin HASH, or --insecure/);
      }),
  },
  {
    name: 'get prints what is not text on a terminal only with -o -',
    run: () =>
      withClient(answers, async (stage) => {
        const printed: (string | Uint8Array)[] = [];
        const sink: Sink = {
          isTTY: true,
          columns: 80,
          write: async (content) => void printed.push(content),
        };
        const terminal = { out: sink, err: sink, interrupted: new AbortController().signal };
        const run = (...more: string[]) => get.run([...pin(stage), stage.at('/binary'), ...more], terminal);
        await assert.rejects(run(), { exitCode: EXIT.write, message: /-o FILE/ });
        assert.deepEqual(printed, []);
        assert.equal(await run('-o', '-'), EXIT.ok);
        assert.deepEqual(printed.map(String), ['1,0,2']);
      }),
  },
  {
    name: 'get ends when nobody reads what it prints',
    run: () =>
      withClient(
        () => new Response(new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(65_536)) })),
        async (stage) => {
          const command = new CommandLine('get', stage.at('/'), ...pin(stage));
          command.closeOutput();
          const { code, complaints } = await command.exit();
          assert.deepEqual([code, complaints], [23, '']);
        },
      ),
  },
  {
    name: 'ping prints each round trip and their quantiles, or one document',
    run: () =>
      withClient(answers, async (stage) => {
        const run = (...more: string[]) =>
          CommandLine.run('ping', stage.at('/'), ...pin(stage), '-c', '3', '-i', '10', ...more);
        const { code, output } = await run();
        assert.equal(code, 0);
        assert.match(
          output,
          /handshake .* ms, status 200\n1: .* ms, status 200\n2: .*\n3: .*\n\n3 sent, 3 received, 0% lost\n/,
        );
        const document = JSON.parse((await run('--json')).output) as Record<string, unknown>;
        assert.deepEqual([document['sent'], document['received'], document['lossPercent']], [3, 3, 0]);
      }),
  },
]);
