// The options of H3Client: what is refused at once, and what the defaults are.

import assert from 'node:assert/strict';
import { type H3ClientOptions, validateClientOptions } from '../../lib/client/options.js';
import { ERROR_CODES, type H3ErrorCode } from '../../lib/errors.js';
import type { Spec } from './spec.js';

const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const HASH = new Uint8Array(32).fill(7);

/** A fact: `options` are refused with `code` and a message that matches `message`. */
function refused(options: unknown, code: H3ErrorCode, message: RegExp): Spec {
  return {
    name: `refused with ${message}`,
    run: () =>
      assert.throws(() => validateClientOptions(options), { code, message, name: ERROR_CODES[code].kind }),
  };
}

export const specs: Spec[] = [
  {
    name: 'none at all give the defaults',
    run() {
      const { limits, ...options } = validateClientOptions({});
      assert.deepEqual(limits, {
        connectTimeoutMs: 10_000,
        headersTimeoutMs: 300_000,
        bodyTimeoutMs: 300_000,
        idleTimeoutMs: 30_000,
        maxConnectionsPerOrigin: 4,
        keepAliveMs: 0,
        maxResponseHeaderBytes: 65_536,
      });
      assert.deepEqual([options.insecure, options.decompress, options.earlyData], [false, true, 'off']);
      assert.deepEqual(
        [options.ca, options.identity, options.serverCertificateHashes],
        [undefined, undefined, []],
      );
      assert.match(options.userAgent, /^trilane\/\d+\.\d+\.\d+/);
      assert.equal(options.maxRedirects, 20);
    },
  },
  {
    name: 'hashes are taken as W3C has them and as bytes, and copied',
    run() {
      const given = HASH.slice();
      const { serverCertificateHashes } = validateClientOptions({
        serverCertificateHashes: [
          given,
          { algorithm: 'sha-256', value: given },
          { algorithm: 'sha-256', value: given.buffer },
        ],
      } satisfies H3ClientOptions);
      given.fill(0);
      assert.deepEqual(serverCertificateHashes, [HASH, HASH, HASH]);
    },
  },
  refused(null, 'ERR_H3_OPTION_TYPE', /expected an object/),
  refused({ insecur: true }, 'ERR_H3_OPTION_UNKNOWN', /did you mean "insecure"\?/),
  refused({ insecure: 1 }, 'ERR_H3_OPTION_TYPE', /"insecure" is number 1; expected true or false/),
  refused({ insecure: true, ca: PEM }, 'ERR_H3_OPTION_TYPE', /"ca" and "insecure" contradict each other/),
  refused({ ca: PEM, serverCertificateHashes: [HASH] }, 'ERR_H3_OPTION_TYPE', /contradict each other/),
  refused({ ca: 'file.pem' }, 'ERR_H3_OPTION_TYPE', /for a file use "caPath"/),
  refused({ cert: PEM }, 'ERR_H3_OPTION_TYPE', /"cert" was given without "key"/),
  refused({ caPath: '/nowhere.pem' }, 'ERR_H3_OPTION_FILE', /cannot read/),
  refused({ serverCertificateHashes: HASH }, 'ERR_H3_OPTION_TYPE', /expected an array/),
  refused({ serverCertificateHashes: [] }, 'ERR_H3_OPTION_RANGE', /has 0 entries; expected 1 to 64/),
  refused(
    { serverCertificateHashes: [HASH.subarray(1)] },
    'ERR_H3_OPTION_RANGE',
    /has 31 bytes; expected the 32/,
  ),
  refused(
    { serverCertificateHashes: [{ algorithm: 'sha-1', value: HASH }] },
    'ERR_H3_OPTION_TYPE',
    /algorithm" is "sha-1"; expected "sha-256"/,
  ),
  refused(
    { serverCertificateHashes: [{ algorithm: 'sha-256' }] },
    'ERR_H3_OPTION_TYPE',
    /value" is no bytes/,
  ),
  refused(
    { connectTimeoutMs: 0 },
    'ERR_H3_OPTION_RANGE',
    /"connectTimeoutMs" is 0; expected an integer from 1/,
  ),
  refused({ headersTimeoutMs: -1 }, 'ERR_H3_OPTION_RANGE', /expected an integer from 0/),
  refused({ maxConnectionsPerOrigin: '4' }, 'ERR_H3_OPTION_TYPE', /is a string; expected an integer/),
  refused({ maxRedirects: 21 }, 'ERR_H3_OPTION_RANGE', /expected an integer from 0 to 20/),
  refused({ resolve: '127.0.0.1' }, 'ERR_H3_OPTION_TYPE', /"resolve" is a string; expected a function/),
  refused({ earlyData: true }, 'ERR_H3_OPTION_TYPE', /expected "off" or "safe-methods"/),
  refused({ userAgent: 'a\nb' }, 'ERR_H3_HEADER', /user-agent/),
  refused({ localAddress: '' }, 'ERR_H3_OPTION_TYPE', /expected an IP address/),
  refused({ qlogDir: '/nowhere' }, 'ERR_H3_OPTION_FILE', /qlogDir/),
];
