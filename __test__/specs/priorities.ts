import assert from 'node:assert/strict';
import { createH3Server } from 'trilane';
import { Connection } from '../harness/connection.js';
import type { Spec } from './spec.js';

export const specs: Spec[] = [
  {
    // RFC 9218 §4
    name: 'a malformed priority is no reason to refuse a request',
    async run() {
      const server = createH3Server({ hostname: '127.0.0.1', fetch: () => new Response('fine') });
      try {
        const connection = await Connection.open(server.url);
        for (const priority of ['u=9', 'u=', ',', '"', 'u=1;;', 'i=2']) {
          const answer = await connection.get('/', { headers: [['priority', priority]] });
          assert.equal(answer.text, 'fine', priority);
        }
      } finally {
        await server.stop(true);
        server.close();
      }
    },
  },
];
