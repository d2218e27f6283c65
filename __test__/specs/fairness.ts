// What one connection asks for does not make the requests of another wait for all of it.

import assert from 'node:assert/strict';
import { H3Client } from 'trilane';
import { clientSpecs, withClient } from '../harness/client-stage.js';
import { soon } from '../harness/deadline.js';

/**
 * Fewer than a connection may open at once. Half of them is the most that one connection gets before another has its turn: 16
 * in the turn that is busy, and 32 in the next, for until then turns were short.
 */
const MANY = 96;
const BUSY_MS = 200;

function beBusy(): void {
  const until = performance.now() + BUSY_MS;
  while (performance.now() < until);
}

export const specs = clientSpecs([
  {
    name: 'a request of one connection does not wait behind all 96 of another',
    async run() {
      const order: string[] = [];
      const answer = async (request: Request): Promise<Response> => {
        const { pathname } = new URL(request.url);
        // While the first handler runs, all the others arrive.
        if (pathname !== '/warm' && order.push(pathname) === 1) beBusy();
        return new Response();
      };
      await withClient(answer, async ({ server, client, at }) => {
        const neighbour = new H3Client({ serverCertificateHashes: [server.certificateHash] });
        try {
          for (const one of [client, neighbour])
            await (await soon('a connection', one.fetch(at('/warm')))).text();
          const asked = Array.from({ length: MANY }, () => client.fetch(at('/busy')));
          asked.push(neighbour.fetch(at('/calm')));
          for (const answered of await soon('all answers', Promise.all(asked))) await answered.text();
        } finally {
          await soon('the end of the neighbour', neighbour.close());
        }
        const place = order.indexOf('/calm');
        assert.equal(order.length, MANY + 1);
        assert.ok(place >= 0 && place <= MANY / 2, `it was number ${place + 1} of ${order.length}`);
      });
    },
  },
]);
