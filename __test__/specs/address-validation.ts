import assert from 'node:assert/strict';
import { createH3Server, ERROR_CODES, type H3ErrorCode, type H3ServeOptions } from 'trilane';
import { validateOptions } from '../../lib/options.js';
import { Connection } from '../harness/connection.js';
import { soon } from '../harness/deadline.js';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** RFC 9114 §8.1. */
const H3_EXCESSIVE_LOAD = 0x107;

/** RFC 9114 §7.2.8: a type that means nothing, and no bytes. */
const RESERVED_FRAME = new Uint8Array([0x21, 0x00]);

const fetch = (): Response => new Response('served');

/** A fact: `options` are refused with `code` and a message that matches `message`. */
function refused(options: unknown, code: H3ErrorCode, message: RegExp): Spec {
  return {
    name: `addresses: refused with ${message}`,
    run: () => assert.throws(() => validateOptions(options), { code, message, name: ERROR_CODES[code].kind }),
  };
}

export const specs: Spec[] = [
  refused({ addressValidation: 'never' }, 'ERR_H3_OPTION_TYPE', /"never"; expected "auto" or "always"/),
  refused({ addressValidation: true }, 'ERR_H3_OPTION_TYPE', /"addressValidation" is .*expected "auto"/),
  refused({ statelessResetKey: 'secret' }, 'ERR_H3_OPTION_TYPE', /"statelessResetKey" is .*Uint8Array/),
  refused(
    { statelessResetKey: new Uint8Array(31) },
    'ERR_H3_OPTION_RANGE',
    /has 31 bytes; expected .* at least 32/,
  ),
  refused(
    { limits: { maxOverheadFramesPerSecond: 0 } },
    'ERR_H3_OPTION_RANGE',
    /maxOverheadFramesPerSecond" is 0; expected an integer from 1/,
  ),
  refused(
    { limits: { retryAboveHandshakesPerSecond: 1.5 } },
    'ERR_H3_OPTION_RANGE',
    /retryAboveHandshakesPerSecond" is 1.5/,
  ),
  {
    name: 'addresses: the reset key is copied, so that the caller may wipe it',
    run() {
      const secret = new Uint8Array(32).fill(7);
      const { statelessResetKey } = validateOptions({ statelessResetKey: secret });
      secret.fill(0);
      assert.deepEqual(statelessResetKey, new Uint8Array(32).fill(7));
    },
  },
  {
    name: 'addresses: with "always" each new client is asked once, and served',
    run: () =>
      withServer({ fetch, addressValidation: 'always' }, async ({ connection, connect, server }) => {
        assert.equal((await connection.get()).text, 'served');
        assert.equal((await (await connect()).get()).text, 'served');
        assert.equal(server.getStats().retriesSent, 2n);
        assert.equal(server.getStats().connectionsTotal, 2n);
      }),
  },
  {
    name: 'addresses: with "auto" nobody is asked while it is calm',
    run: () =>
      withServer({ fetch }, async ({ connection, connect, server }) => {
        assert.equal((await connection.get()).text, 'served');
        assert.equal((await (await connect()).get()).text, 'served');
        assert.equal(server.getStats().retriesSent, 0n);
      }),
  },
  {
    name: 'addresses: with "auto" new clients are asked once there are many a second',
    run: () =>
      withServer({ fetch, limits: { retryAboveHandshakesPerSecond: 0 } }, async ({ connection, server }) => {
        assert.equal((await connection.get()).text, 'served');
        assert.equal(server.getStats().retriesSent, 1n);
      }),
  },
  {
    name: 'addresses: a server with a reset key serves, and so does the next on its port',
    async run() {
      const statelessResetKey = new Uint8Array(32).fill(7);
      let port = 0;
      for (let round = 0; round < 2; round++) {
        const options: H3ServeOptions = { hostname: '127.0.0.1', port, statelessResetKey, fetch };
        const server = createH3Server(options);
        try {
          port = server.port;
          const connection = await Connection.open(server.url);
          assert.equal((await connection.get()).text, 'served');
          await connection.close();
        } finally {
          await soon('server.stop(true)', server.stop(true));
          server.close();
        }
      }
    },
  },
  {
    name: 'a client that sends more frames without content than it may loses its connection, others keep theirs',
    run: () =>
      withServer(
        { fetch, limits: { maxOverheadFramesPerSecond: 50 } },
        async ({ connection, connect, server }) => {
          const flooder = await connect();
          const open = await flooder.openStream('bidi');
          await open.write({ repeat: { bytes: RESERVED_FRAME, count: 5_000 } }).catch(() => {});
          assert.equal((await flooder.closed(3000)).code, H3_EXCESSIVE_LOAD);
          const { excessiveLoad, protocolErrors } = server.getStats();
          assert.deepEqual({ excessiveLoad, protocolErrors }, { excessiveLoad: 1n, protocolErrors: 0n });
          assert.equal((await connection.get()).text, 'served');
        },
      ),
  },
];
