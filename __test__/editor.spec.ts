// What an editor offers and shows while somebody writes a server: TypeScript's own language server is asked.

import test from 'ava';
import { LanguageServer, type Place } from './harness/language-server.js';

/** Places are marked with a number between slashes and asterisks; completion is asked for right behind. */
const PROGRAM = `import { createH3Server, type H3Error, route } from 'trilane';
createH3Server({ /*1*/ });
createH3Server({ limits: { /*2*/ } });
createH3Server({ routes: [{ method: 'GET', pattern: '/', /*3*/ }] });
createH3Server({ routes: [{ method: 'GET', pattern: '/users/:id/files/*', fetch: (request) => new Response(request.params./*4*/) }] });
createH3Server({ routes: [{ method: 'GET', pattern: '/game/:room', h3Datagram: (payload, context) => { context./*5*/ } }] });
createH3Server({ quicDatagram: (payload, context) => { context./*6*/ } });
createH3Server({ routes: [{ method: 'CONNECT', pattern: '/chat', webtransport: (session) => { session./*7*/ } }] });
declare const error: H3Error;
if (error.code === '/*8*/') console.log();
const server = createH3Server({ fetch: () => new Response('') });
server.getStats()./*9*/;
server./*10*/;
route({ method: 'POST', pattern: '/', mode: '/*11*/', fetch: () => new Response('') });
createH3Server({ fetch: (request, given) => new Response(String(given./*12*/)) });
createH3Server({ /*13*/port: 4433, fetch: (/*14*/request) => new Response('') });
`;

interface Fact {
  readonly title: string;
  readonly mark: number;
  /** Among the names offered. */
  readonly offers: readonly string[];
  /** Not among them. */
  readonly hides?: readonly string[];
  /** The first words of what is shown of a name. */
  readonly shows?: Readonly<Record<string, string>>;
}

const FACTS: readonly Fact[] = [
  {
    title: 'the options of a server',
    mark: 1,
    offers: [
      'routes',
      'fetch',
      'error',
      'hostname',
      'port',
      'cert',
      'certPath',
      'limits',
      'quicDatagram',
      'logger',
    ],
    shows: {
      port: 'UDP port, 0 to 65535. Default 0',
      maxBodyBytes: 'Bytes of one buffered request body; one more is answered 413.',
      fetch: 'Answers what no route matches. Default: 404.',
    },
  },
  {
    title: 'the limits',
    mark: 2,
    offers: ['maxConnections', 'idleTimeoutMs', 'maxHeaderBytes'],
    shows: { idleTimeoutMs: 'Silence after which a connection is closed, in milliseconds. Default 30,000.' },
  },
  {
    title: 'the keys of a route',
    mark: 3,
    offers: ['mode', 'fetch', 'h3Datagram'],
    hides: ['method', 'pattern'],
    shows: {
      fetch: 'Answers requests; `request.params` has the type of the pattern.',
      h3Datagram: 'Takes the HTTP datagrams of each request (RFC 9297)',
      webtransport: 'Takes WebTransport sessions; needs method CONNECT.',
    },
  },
  { title: 'the parameters of a pattern', mark: 4, offers: ['id'], hides: ['files', 'users'] },
  {
    title: 'the context of an HTTP datagram',
    mark: 5,
    offers: ['streamId', 'flowId', 'request', 'params', 'maxDatagramSize', 'sendReply'],
    shows: { sendReply: 'Queues a datagram, copied before this returns; false if it was not' },
  },
  {
    title: 'the context of a QUIC datagram',
    mark: 6,
    offers: ['connectionId', 'connectionIdHex', 'remoteAddress', 'maxDatagramSize', 'sendReply'],
    shows: { connectionId: '16 random bytes that name the connection' },
  },
  {
    title: 'the context of a WebTransport session',
    mark: 7,
    offers: [
      'accept',
      'reject',
      'closed',
      'datagrams',
      'createBidirectionalStream',
      'incomingUnidirectionalStreams',
    ],
    shows: { reject: 'Refuses the session with an HTTP status from 300 to 599.' },
  },
  {
    title: 'the codes of errors',
    mark: 8,
    offers: ['ERR_H3_ADDRESS_IN_USE', 'ERR_H3_STREAM_RESET', 'ERR_H3_OPTION_TYPE'],
  },
  {
    title: 'the fields of the statistics',
    mark: 9,
    offers: ['connectionsTotal', 'connectionsActive', 'requests', 'uptimeMs', 'handlerErrors'],
    shows: { handlerErrors: 'How often a handler threw, rejected, or gave what cannot be sent.' },
  },
  {
    title: 'the members of a server',
    mark: 10,
    offers: ['port', 'url', 'stop', 'close', 'getStats', 'updateTls', 'requestIP'],
    shows: { stop: 'Stops. Without `force`: GOAWAY, requests under way finish within `drainTimeoutMs`' },
  },
  { title: 'the modes of a body', mark: 11, offers: ['buffered', 'streaming'] },
  { title: 'the server that a handler gets', mark: 12, offers: ['requestIP', 'informational', 'url'] },
];

const editor = new LanguageServer(PROGRAM);
test.after.always(() => editor.close());

for (const { title, mark, offers, hides = [], shows = {} } of FACTS) {
  test.serial(`an editor offers ${title}, with their documentation`, async (t) => {
    const place = behind(mark);
    const names = await editor.completions(place);
    t.deepEqual(
      offers.filter((name) => !names.includes(name)),
      [],
      'missing',
    );
    t.deepEqual(
      hides.filter((name) => names.includes(name)),
      [],
      'too many',
    );
    for (const [name, words] of Object.entries(shows)) {
      const { documentation } = await editor.details(place, name);
      const [first = ''] = documentation.split('\n');
      t.true(flat(documentation).startsWith(words), `${name}: ${first}`);
    }
  });
}

test.serial('a pointer that rests on an option shows its type and its documentation', async (t) => {
  const { displayString, documentation } = await editor.quickInfo(behind(13));
  t.regex(displayString, /port\?: number/);
  t.true(documentation.startsWith('UDP port, 0 to 65535.'), documentation);
});

test.serial('a pointer that rests on the request of a handler shows that it is an H3Request', async (t) => {
  const { displayString } = await editor.quickInfo(behind(14));
  t.regex(displayString, /request: H3Request</);
});

/** The place right behind a mark. */
function behind(mark: number): Place {
  const text = `/*${mark}*/`;
  const lines = PROGRAM.split('\n');
  const index = lines.findIndex((line) => line.includes(text));
  return { line: index + 1, offset: (lines[index] ?? '').indexOf(text) + text.length + 1 };
}

/** On one line: where a comment breaks its lines says nothing. */
function flat(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
