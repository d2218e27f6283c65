// `trilane` without a client: help, mistakes on the command line, `trilane serve`, and what it prints with.

import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { verdict } from '../../lib/cli/exit-code.js';
import { progressLine } from '../../lib/cli/progress.js';
import { RoundTrips } from '../../lib/cli/round-trips.js';
import { ERROR_CODES, H3Error, type H3ErrorCode } from '../../lib/errors.js';
import { VERSION } from '../../lib/version.js';
import { CommandLine } from '../harness/command-line.js';
import { Connection } from '../harness/connection.js';
import { type Folder, withFolder } from '../harness/scratch.js';
import type { Spec } from './spec.js';

/** Runs `run` with a served folder and a connection of the peer to it. */
function withServed(
  fill: (folder: Folder) => void,
  run: (connection: Connection, command: CommandLine) => Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    fill(folder);
    const command = new CommandLine('serve', folder.path, '--port', '0', '--host', '127.0.0.1');
    try {
      const [, url] = await command.printed(/at (https:\S+)/);
      const [, hash] = await command.printed(/SHA-256 ([0-9a-f]{64})/);
      const connection = await Connection.open(url as string);
      assert.equal(connection.certificateSha256, hash);
      await run(connection, command);
      await connection.close();
    } finally {
      command.signal('SIGKILL');
    }
  });
}

export const specs: Spec[] = [
  {
    name: 'help and version are answers, and go to standard output',
    async run() {
      for (const [parameters, pattern] of [
        [['--help'], /get .*\n.*serve .*\n.*ping /],
        [['help', 'serve'], /--port/],
        [['get', '--help'], /--connect-timeout/],
        [['ping', '-h'], /--count/],
        [['--version'], new RegExp(`^trilane ${VERSION.replaceAll('.', '\\.')}\n$`)],
      ] as const) {
        const { code, output, complaints } = await CommandLine.run(...parameters);
        assert.deepEqual([code, complaints], [0, '']);
        assert.match(output, pattern);
      }
    },
  },
  {
    name: 'mistakes on the command line exit with 2 and say what to do on standard error',
    async run() {
      for (const [parameters, pattern] of [
        [[], /trilane COMMAND/],
        [['fetch'], /no command "fetch": see trilane --help/],
        [['serve', '--prot', '1'], /^trilane: Unknown option '--prot': --help tells the options\n$/],
        [['serve', '--port', '65536'], /--port is "65536"; expected an integer from 0 to 65535/],
        [['serve', 'a', 'b'], /one folder at a time/],
        [['get'], /a URL is missing/],
        [['get', 'localhost', '-H', 'novalue'], /expected "name: value"/],
        [['get', 'localhost', '--pin', 'zz'], /expected a SHA-256/],
        [['ping', 'localhost', '-c', '0'], /--count is "0"/],
      ] as const) {
        const { code, output, complaints } = await CommandLine.run(...parameters);
        assert.deepEqual([code, output], [2, ''], parameters.join(' '));
        assert.match(complaints, pattern);
      }
    },
  },
  {
    name: 'serve: a folder that is none, and a port in use, are told from each other',
    async run() {
      const { code, complaints } = await CommandLine.run('serve', '/nowhere/at/all');
      assert.equal(code, 26);
      assert.match(complaints, /cannot serve \/nowhere/);
      await withServed(
        () => undefined,
        async (_, command) => {
          const [, port] = await command.printed(/UDP port (\d+)/);
          const second = await CommandLine.run('serve', '--port', port as string, '--host', '127.0.0.1');
          assert.equal(second.code, 7);
        },
      );
    },
  },
  {
    name: 'serve: files, an index, and a page of names for a folder without one',
    run: () =>
      withServed(
        (folder) => {
          folder.file('a.txt', 'text');
          folder.file('.hidden', 'secret');
          folder.file('<b>&.txt', '');
          folder.file('sub/index.html', 'index');
          folder.file('list/b10.txt', '');
          folder.file('list/b9.txt', '');
          folder.file('.git/config', '');
        },
        async (connection, command) => {
          assert.equal((await connection.get('/a.txt')).text, 'text');
          assert.equal((await connection.get('/sub/')).text, 'index');
          const root = await connection.get('/');
          assert.equal(root.header('content-type'), 'text/html; charset=utf-8');
          assert.ok(root.text.includes('<a href="./%3Cb%3E%26.txt">&#60;b&#62;&#38;.txt</a>'));
          assert.ok(root.text.includes('<a href="./list/">list/</a>'));
          assert.ok(!root.text.includes('hidden') && !root.text.includes('<b>'));
          const list = await connection.get('/list/');
          assert.ok(list.text.indexOf('b9.txt') < list.text.indexOf('b10.txt'));
          assert.ok(list.text.includes('href="../"'));
          assert.equal((await connection.get('/list')).header('location'), './list/');
          for (const path of ['/nothing', '/.git/', '/.hidden']) {
            const { status } = await connection.get(path);
            assert.ok(status === 404 || status === 400, `${path}: ${status}`);
          }
          await command.printed(/^200 GET \/a\.txt \d/m);
          await command.printed(/^404 GET \/nothing /m);
        },
      ),
  },
  {
    name: 'serve: no page of a folder that a link leads to outside',
    async run() {
      if (process.platform === 'win32') return;
      await withFolder((outside) => {
        outside.file('secret.txt', '');
        return withServed(
          (folder) => symlinkSync(outside.path, folder.at('link')),
          async (connection) => assert.equal((await connection.get('/link/')).status, 404),
        );
      });
    },
  },
  {
    name: 'serve: Ctrl-C ends it with 0',
    async run() {
      if (process.platform === 'win32') return;
      await withServed(
        (folder) => folder.file('a.txt', 'text'),
        async (connection, command) => {
          assert.equal((await connection.get('/a.txt')).text, 'text');
          command.signal('SIGINT');
          assert.deepEqual(await connection.closed().then(({ code }) => code), 0x100);
          assert.equal((await command.exit()).code, 0);
        },
      );
    },
  },
  {
    name: 'serve: goes on when nobody reads what it prints',
    run: () =>
      withServed(
        (folder) => folder.file('a.txt', 'text'),
        async (connection, command) => {
          command.closeOutput();
          for (let index = 0; index < 5; index++) {
            assert.equal((await connection.get('/a.txt')).text, 'text');
          }
        },
      ),
  },
  {
    name: 'every error has an exit code of its kind',
    run() {
      const exitCode = (code: H3ErrorCode): number =>
        verdict(new TypeError('fetch failed', { cause: new H3Error(code, 'what happened') })).exitCode;
      for (const [code, expected] of [
        ['ERR_H3_CLIENT_NAME_NOT_FOUND', 6],
        ['ERR_H3_CLIENT_REFUSED', 7],
        ['ERR_H3_CLIENT_BODY_TRUNCATED', 18],
        ['ERR_H3_CLIENT_CONNECT_TIMEOUT', 28],
        ['ERR_H3_CLIENT_ALPN', 35],
        ['ERR_H3_CLIENT_REDIRECT_LIMIT', 47],
        ['ERR_H3_CLIENT_CERTIFICATE_ISSUER', 60],
        ['ERR_H3_CLIENT_PIN_MISMATCH', 90],
      ] as const) {
        assert.equal(exitCode(code), expected, code);
      }
      for (const code of Object.keys(ERROR_CODES) as H3ErrorCode[]) assert.ok(exitCode(code) > 0, code);
      assert.equal(
        verdict(new TypeError('fetch failed', { cause: new H3Error('ERR_H3_CLIENT_REFUSED', 'why') }))
          .message,
        'why',
      );
      assert.equal(verdict(new DOMException('', 'TimeoutError')).exitCode, 28);
    },
  },
  {
    name: 'the progress line tells share, bytes, rate and the time that is left, and fits the terminal',
    run() {
      assert.equal(
        progressLine(512, 1024, 500, 80),
        `${'█'.repeat(12)}${'░'.repeat(12)}  50% 512 B of 1.0 KiB, 1.0 KiB/s, 500.0 ms left`,
      );
      assert.equal(progressLine(2048, null, 1000, 80), '2.0 KiB, 2.0 KiB/s');
      assert.equal(progressLine(2048, 2048, 1000, 20).length, 19);
      assert.ok(progressLine(3000, 2000, 1000, 80).includes('100%'));
    },
  },
  {
    name: 'round trips are counted, lost ones too, with their quantiles and a histogram',
    run() {
      const trips = new RoundTrips();
      assert.deepEqual(trips.summary, { sent: 0, received: 0, lossPercent: 0 });
      for (let ms = 1; ms <= 100; ms++) trips.add(ms);
      trips.add(null);
      const { sent, received, minMs, p50Ms, p99Ms, maxMs } = trips.summary;
      assert.deepEqual([sent, received, minMs, p50Ms, p99Ms, maxMs], [101, 100, 1, 50, 99, 100]);
      const report = trips.report();
      assert.match(
        report,
        /^101 sent, 100 received, 1\.0% lost\nmin 1\.00 ms, p50 50\.0 ms, p99 99\.0 ms, max 100\.0 ms\n/,
      );
      assert.equal(report.trimEnd().split('\n').length, 13);
    },
  },
];
