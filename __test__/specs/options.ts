import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  describe,
  ERROR_CODES,
  H3Error,
  type H3ErrorCode,
  isH3Error,
  type UsageErrorCode,
  usageError,
} from '../../lib/errors.js';
import { fromNative } from '../../lib/native-error.js';
import { validateOptions } from '../../lib/options.js';
import type { Spec } from './spec.js';

const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';

/** A fact: `options` are refused with `code` and a message that matches `message`. */
function refused(options: unknown, code: H3ErrorCode, message: RegExp): Spec {
  return {
    name: `options: refused with ${message}`,
    run: () => assert.throws(() => validateOptions(options), { code, message, name: ERROR_CODES[code].kind }),
  };
}

function native(fields: Record<string, unknown>): Error {
  return Object.assign(new Error('what happened'), fields);
}

export const specs: Spec[] = [
  {
    name: 'options: none at all give the defaults',
    run() {
      const options = validateOptions({});
      assert.equal(options.port, 0);
      assert.equal(options.hostname, undefined);
      assert.equal(options.identity, undefined);
      assert.equal(options.request, 'own');
      assert.equal(options.mode, 'buffered');
      assert.equal(options.logger, console);
      assert.equal(options.drainTimeoutMs, 10_000);
      assert.equal(options.fetch, null);
      assert.equal(options.error, null);
      assert.deepEqual(options.routes, []);
      assert.deepEqual(options.sni, []);
      assert.deepEqual(options.limits, {});
      assert.equal(options.qlogDir, undefined);
      assert.equal(options.resumption, 'tickets');
    },
  },
  {
    name: 'options: mode is buffered or streaming',
    run() {
      assert.equal(validateOptions({ mode: 'buffered' }).mode, 'buffered');
      assert.equal(validateOptions({ mode: 'streaming' }).mode, 'streaming');
    },
  },
  {
    name: 'options: an option that is undefined counts as not given',
    run() {
      const options = {
        port: undefined,
        cert: undefined,
        limits: undefined,
        logger: undefined,
        quicDatagram: undefined,
      };
      assert.equal(validateOptions(options).port, 0);
    },
  },
  {
    name: 'options: limits that are given come through, the body limit among them',
    run() {
      const { limits } = validateOptions({
        maxBodyBytes: 0,
        limits: { maxConnections: 1, idleTimeoutMs: 5 },
      });
      assert.deepEqual(limits, { maxBodyBytes: 0, maxConnections: 1, idleTimeoutMs: 5 });
    },
  },
  {
    name: 'options: a certificate is taken as text, bytes, path or file URL',
    run() {
      const folder = mkdtempSync(join(tmpdir(), 'trilane-'));
      try {
        const path = join(folder, 'a.pem');
        writeFileSync(path, PEM);
        const bytes = new TextEncoder().encode(PEM);
        const given = [
          { cert: PEM, key: bytes },
          { certPath: path, keyPath: pathToFileURL(path) },
          { cert: bytes, keyPath: path },
        ];
        for (const options of given) {
          const { identity } = validateOptions(options);
          assert.equal(new TextDecoder().decode(identity?.cert), PEM);
          assert.equal(new TextDecoder().decode(identity?.key), PEM);
        }
        const { sni } = validateOptions({ sni: { 'a.test': { cert: PEM, keyPath: path } } });
        assert.equal(sni[0]?.host, 'a.test');
        assert.equal(new TextDecoder().decode(sni[0]?.identity.key), PEM);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  },
  {
    name: 'options: a file that cannot be read is an error that names the option and the path',
    run() {
      const options = { certPath: '/does/not/exist.pem', key: PEM };
      assert.throws(
        () => validateOptions(options),
        (error: unknown) => {
          assert.ok(error instanceof TypeError);
          assert.equal((error as { code?: unknown }).code, 'ERR_H3_OPTION_FILE');
          assert.match(error.message, /"certPath".*"\/does\/not\/exist\.pem"/);
          assert.ok(error.cause instanceof Error);
          return true;
        },
      );
    },
  },
  {
    name: 'options: an error never repeats a private key',
    run() {
      try {
        validateOptions({ cert: 'secret-text', key: 'secret-text' });
        assert.fail('accepted');
      } catch (error) {
        assert.doesNotMatch(String(error), /secret-text/);
      }
    },
  },
  refused(undefined, 'ERR_H3_OPTION_TYPE', /argument of createH3Server is undefined; expected an object/),
  refused([], 'ERR_H3_OPTION_TYPE', /is an array; expected an object/),
  refused({ prot: 1 }, 'ERR_H3_OPTION_UNKNOWN', /has no property "prot": did you mean "port"\?/),
  refused({ hostName: 'a' }, 'ERR_H3_OPTION_UNKNOWN', /did you mean "hostname"\?/),
  refused(
    { somethingElse: 1 },
    'ERR_H3_OPTION_UNKNOWN',
    /has no property "somethingElse": known are routes, /,
  ),
  refused({ ['x'.repeat(100_000)]: 1 }, 'ERR_H3_OPTION_UNKNOWN', /known are/),
  refused({ port: '443' }, 'ERR_H3_OPTION_TYPE', /"port" is a string; expected an integer from 0 to 65535/),
  refused({ port: 65_536 }, 'ERR_H3_OPTION_RANGE', /"port" is 65536/),
  refused({ port: -1 }, 'ERR_H3_OPTION_RANGE', /"port" is -1/),
  refused({ port: 1.5 }, 'ERR_H3_OPTION_RANGE', /"port" is 1\.5/),
  refused({ port: Number.NaN }, 'ERR_H3_OPTION_RANGE', /"port" is NaN/),
  refused({ hostname: '' }, 'ERR_H3_OPTION_TYPE', /"hostname" is ""/),
  refused({ hostname: 7 }, 'ERR_H3_OPTION_TYPE', /"hostname" is number 7/),
  refused({ fetch: 'f' }, 'ERR_H3_OPTION_TYPE', /"fetch" is a string; expected a function/),
  refused({ error: {} }, 'ERR_H3_OPTION_TYPE', /"error" is an object; expected a function/),
  refused({ request: 'Lazy' }, 'ERR_H3_OPTION_TYPE', /"request" is "Lazy"; expected "own" or "lazy"/),
  refused({ mode: 'slow' }, 'ERR_H3_OPTION_TYPE', /"mode" is a string; expected "buffered" or "streaming"/),
  refused({ quicDatagram: 'd' }, 'ERR_H3_OPTION_TYPE', /"quicDatagram" is a string; expected a function/),
  refused(
    { logger: { error: 1 } },
    'ERR_H3_OPTION_TYPE',
    /"logger\.debug" is undefined; expected a function/,
  ),
  refused(
    { limits: { maxConnection: 1 } },
    'ERR_H3_OPTION_UNKNOWN',
    /"limits" has no property.*"maxConnections"\?/,
  ),
  refused(
    { limits: { maxConnections: 0 } },
    'ERR_H3_OPTION_RANGE',
    /"limits\.maxConnections" is 0; expected an integer from 1/,
  ),
  refused({ limits: 7 }, 'ERR_H3_OPTION_TYPE', /"limits" is number 7; expected an object/),
  refused({ cert: PEM }, 'ERR_H3_OPTION_TYPE', /"cert" was given without "key"/),
  refused({ keyPath: new URL(import.meta.url) }, 'ERR_H3_OPTION_TYPE', /"key" was given without "cert"/),
  refused(
    { cert: PEM, certPath: 'a', key: PEM },
    'ERR_H3_OPTION_TYPE',
    /"cert" and "certPath" were both given/,
  ),
  refused(
    { cert: 'cert.pem', key: PEM },
    'ERR_H3_OPTION_TYPE',
    /"cert" is text without "-----BEGIN".*"certPath"/,
  ),
  refused({ cert: 1, key: PEM }, 'ERR_H3_OPTION_TYPE', /"cert" is number 1; expected PEM/),
  refused({ certPath: 1, key: PEM }, 'ERR_H3_OPTION_TYPE', /"certPath" is number 1; expected a path/),
  refused({ sni: { 'a.test': {} } }, 'ERR_H3_OPTION_TYPE', /"sni\["a\.test"\]" has no certificate/),
  refused(
    { sni: { 'a.test': { crt: 1 } } },
    'ERR_H3_OPTION_UNKNOWN',
    /has no property "crt": did you mean "cert"\?/,
  ),
  refused({ drainTimeoutMs: -1 }, 'ERR_H3_OPTION_RANGE', /"drainTimeoutMs" is -1/),
  refused(
    { earlyData: true },
    'ERR_H3_OPTION_TYPE',
    /"earlyData" is boolean true; expected "off" or "safe-methods"/,
  ),
  refused({ sessionResumption: 'on' }, 'ERR_H3_OPTION_TYPE', /"on"; expected "tickets" or "off"/),
  refused(
    { sessionResumption: 'off', earlyData: 'safe-methods' },
    'ERR_H3_OPTION_TYPE',
    /"earlyData" and "sessionResumption" contradict/,
  ),
  refused(
    { clientCertificates: true },
    'ERR_H3_OPTION_TYPE',
    /boolean true; expected "request" or "require"/,
  ),
  refused(
    { clientCertificates: 'require' },
    'ERR_H3_OPTION_TYPE',
    /"clientCertificates" was given without "ca"/,
  ),
  refused({ ca: PEM }, 'ERR_H3_OPTION_TYPE', /"ca" was given without "clientCertificates"/),
  refused(
    { clientCertificates: 'request', ca: 'x' },
    'ERR_H3_OPTION_TYPE',
    /"ca" is text without "-----BEGIN"/,
  ),
  refused(
    { clientCertificates: 'request', caPath: 'no-such' },
    'ERR_H3_OPTION_FILE',
    /"caPath": cannot read/,
  ),
  refused({ qlogDir: 7 }, 'ERR_H3_OPTION_TYPE', /"qlogDir" is number 7; expected the path of a folder/),
  refused({ qlogDir: 'no-such-folder' }, 'ERR_H3_OPTION_FILE', /"qlogDir": cannot use "no-such-folder"/),
  refused({ qlogDir: 'package.json' }, 'ERR_H3_OPTION_FILE', /it is no folder/),
  {
    name: 'errors: every row of the table makes an error of its class, code and layer',
    run() {
      for (const [name, row] of Object.entries(ERROR_CODES)) {
        const error = fromNative(native({ code: name }));
        assert.equal(error.code, name);
        assert.equal(error.name, row.kind);
        assert.equal(error.message, 'what happened');
        assert.equal(isH3Error(error), row.kind === 'H3Error');
        if (isH3Error(error)) assert.equal(error.layer, row.layer);
        if (row.kind !== 'H3Error') assert.equal(usageError(name as UsageErrorCode, '').name, row.kind);
        assert.match(row.doc, /\.$/);
        assert.match(row.hint, /\.$/);
      }
    },
  },
  {
    name: 'errors: a native error keeps who caused it and the code on the wire',
    run() {
      const error = fromNative(native({ code: 'ERR_H3_STREAM_RESET', remote: true, wireCode: 0x10c }));
      assert.ok(isH3Error(error));
      assert.deepEqual([error.remote, error.wireCode, error.layer], [true, 0x10c, 'http3']);
    },
  },
  {
    name: 'errors: an unknown native error becomes ERR_H3_INTERNAL with its cause',
    run() {
      for (const cause of [
        native({ code: 'GenericFailure' }),
        native({ code: 'toString' }),
        'text',
        undefined,
      ]) {
        const error = fromNative(cause);
        assert.ok(isH3Error(error));
        assert.equal(error.code, 'ERR_H3_INTERNAL');
        assert.equal(error.cause, cause);
      }
    },
  },
  {
    name: 'errors: isH3Error holds across copies of the package and for nothing else',
    run() {
      assert.ok(isH3Error(new H3Error('ERR_H3_BIND', 'x')));
      assert.ok(isH3Error({ [Symbol.for('trilane.H3Error')]: true }));
      for (const other of [new Error('x'), null, undefined, 'x', {}]) assert.equal(isH3Error(other), false);
    },
  },
  {
    name: 'errors: a value is described by its type, and text never by its content',
    run() {
      assert.deepEqual(
        [undefined, null, 7, true, 7n, 'secret', [], {}, new Map(), Object.create(null)].map(describe),
        [
          'undefined',
          'null',
          'number 7',
          'boolean true',
          'bigint 7',
          'a string',
          'an array',
          'an object',
          'an instance of Map',
          'an object',
        ],
      );
    },
  },
];
