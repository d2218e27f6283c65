import assert from 'node:assert/strict';
import type { H3Request } from 'trilane';
import { Response as FastResponse } from 'trilane';
import type { Connection } from '../harness/connection.js';
import { REQUEST_KINDS, type RequestKind, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const CONNECTIONS = 4;
const REQUESTS = 20_000;
/** Open at once on one connection: below the limit, so that every request finds a stream. */
const OPEN = 64;

/** Ways in which handlers answer; the token of a request says which one is its. */
const ANSWERS: readonly ((token: string) => Response | Promise<Response>)[] = [
  (token) => new FastResponse(token, { headers: { 'x-token': token } }),
  async (token) => new FastResponse(token, { headers: { 'x-token': token } }),
  (token) => new Response(token, { headers: { 'x-token': token } }),
  async (token) => {
    await new Promise((resolve) => setImmediate(resolve));
    return new FastResponse(new TextEncoder().encode(token), { headers: { 'x-token': token } });
  },
];

/** A token that nobody else has; every third one is not ASCII. */
function tokenOf(n: number): string {
  return n % 3 === 0 ? `${n}-\xe9\xff` : `${n}-ascii`;
}

/** Answers in the way that the number of the request says, with the token of its header. */
function answerTo({ url, headers }: H3Request): Response | Promise<Response> {
  const n = Number(new URL(url).searchParams.get('n'));
  const token = headers.get('x-token') ?? 'none';
  const answer = ANSWERS[n % ANSWERS.length];
  return answer === undefined ? new Response(`bad ${n}`) : answer(token);
}

/** Sends the requests whose number leaves `lane` when divided by the lanes, one after the other. */
async function runLane(connection: Connection, lane: number, lanes: number, requests: number): Promise<void> {
  for (let n = lane; n < requests; n += lanes) {
    const token = tokenOf(n);
    const headers = [['x-token', token]] as const;
    const answer = await connection.get(`/hammer?n=${n}`, { headers });
    // The peer writes values as UTF-8; a handler sees each byte as a character and gives it back as one byte.
    if (answer.header('x-token') !== token) assert.equal(answer.header('x-token'), token);
    const seen = latin1(answer.text);
    if (seen !== token) assert.equal(seen, token);
  }
}

/** Text made of characters that stand for bytes, as the UTF-8 that these bytes are. */
function latin1(text: string): string {
  return new TextDecoder().decode(Uint8Array.from(text, (character) => character.charCodeAt(0)));
}

function hammer(request: RequestKind, requests: number): Promise<void> {
  return withServer({ request, fetch: answerTo }, async ({ server, connection, connect }) => {
    const connections = [connection];
    while (connections.length < CONNECTIONS) connections.push(await connect());
    const lanes = connections.length * OPEN;
    await Promise.all(
      Array.from({ length: lanes }, (_, lane) =>
        runLane(connections[lane % CONNECTIONS] as Connection, lane, lanes, requests),
      ),
    );
    const { requests: counted, requestsAborted } = server.getStats();
    assert.deepEqual([counted, requestsAborted], [BigInt(requests), 0n]);
  });
}

export const specs: Spec[] = REQUEST_KINDS.map((kind) => ({
  name: `${kind}: each of ${REQUESTS} requests of ${CONNECTIONS} connections gets its own answer`,
  run: () => hammer(kind, REQUESTS),
}));
