import assert from 'node:assert/strict';
import { type AltSvcOptions, altSvc } from 'trilane';
import { withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

export const specs: Spec[] = [
  {
    name: 'altSvc() names h3 and the port of the server, for a day if nothing else is said (RFC 7838 §3)',
    run: () =>
      withServer({ fetch: () => new Response() }, async ({ server }) => {
        const { port } = server;
        assert.equal(altSvc(server), `h3=":${port}"; ma=86400`);
        assert.equal(altSvc(server, { maxAgeSeconds: 0 }), `h3=":${port}"; ma=0`);
        assert.equal(altSvc(server, { maxAgeSeconds: 60, persist: true }), `h3=":${port}"; ma=60; persist=1`);
        assert.equal(altSvc(server, { persist: false }), `h3=":${port}"; ma=86400`);
      }),
  },
  {
    name: 'altSvc() refuses options that it does not know or cannot use',
    run() {
      const refused: [options: unknown, code: string][] = [
        [null, 'ERR_H3_OPTION_TYPE'],
        [{ maxAge: 1 }, 'ERR_H3_OPTION_UNKNOWN'],
        [{ maxAgeSeconds: '60' }, 'ERR_H3_OPTION_TYPE'],
        [{ maxAgeSeconds: -1 }, 'ERR_H3_OPTION_RANGE'],
        [{ maxAgeSeconds: 1.5 }, 'ERR_H3_OPTION_RANGE'],
        [{ persist: 1 }, 'ERR_H3_OPTION_TYPE'],
      ];
      for (const [options, code] of refused) {
        assert.throws(() => altSvc({ port: 443 }, options as AltSvcOptions), { code });
      }
    },
  },
];
