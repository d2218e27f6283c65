import assert from 'node:assert/strict';
import { Response as FastResponse } from 'trilane';
import { REQUEST_KINDS, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const CLASSES: Readonly<Record<string, typeof Response>> = {
  global: Response,
  exported: FastResponse as unknown as typeof Response,
};

export const specs: Spec[] = [
  ...Object.entries(CLASSES).map(([kind, Class]) => ({
    // RFC 6265 §3, RFC 9110 §5.3
    name: `${kind} Response: each set-cookie is sent as a field of its own, in order, behind any kind of body`,
    async run() {
      const cookies = ['a=1; Path=/', 'b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT', 'a=3'];
      const fetch = (request: Request): Response => {
        const headers = new Headers({ 'x-many': 'one' });
        headers.append('x-many', 'two');
        for (const cookie of cookies) headers.append('Set-Cookie', cookie);
        const body = request.url.endsWith('/stream') ? new Blob(['x']).stream() : 'x';
        return new Class(body as ConstructorParameters<typeof Response>[0], { headers });
      };
      await withServer({ fetch }, async ({ connection }) => {
        for (const path of ['/', '/stream']) {
          const answer = await connection.get(path);
          assert.deepEqual(answer.headerValues('set-cookie'), cookies, path);
          assert.equal(answer.header('x-many'), 'one, two', path);
        }
      });
    },
  })),
  ...REQUEST_KINDS.map((request) => ({
    // RFC 9114 §4.2.1
    name: `${request}: the crumbs of a cookie are joined with a semicolon, other fields with a comma`,
    run: () =>
      withServer(
        {
          request,
          fetch: ({ headers }) =>
            Response.json([headers.get('cookie'), headers.get('x-many'), headers.getSetCookie()]),
        },
        async ({ connection }) => {
          const headers = [
            ['cookie', 'a=1'],
            ['x-many', '1'],
            ['cookie', 'b=2; c=3'],
            ['set-cookie', 'd=4'],
            ['cookie', 'e="5,6"'],
            ['set-cookie', 'f=7'],
            ['x-many', '2'],
          ] as const;
          const expected = ['a=1; b=2; c=3; e="5,6"', '1, 2', ['d=4', 'f=7']];
          assert.deepEqual((await connection.get('/', { headers })).json, expected);
        },
      ),
  })),
];
