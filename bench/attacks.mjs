// The attacks of `peer attack` that `npm run stress` makes, and how a flooded connection may end.

/** The path that takes or gives without end, see peers/hostile-target.mjs. */
const SOURCE = '/source';

// RFC 9114 §8.1: H3_EXCESSIVE_LOAD, and H3_FRAME_UNEXPECTED for a second SETTINGS frame; RFC 9000 §20.1: PROTOCOL_VIOLATION and
// CRYPTO_BUFFER_EXCEEDED. 0xa is what a TLS stack makes of a message that is none (unexpected_message, RFC 9001 §4.8).
// Whoever is still sending when the server has forgotten a closed connection meets a stateless reset instead (RFC 9000 §10.3).
const EXCESSIVE_LOAD = /^(closed:0x107|stateless_reset)$/;
const CHURN = /^closed:0x105$/;
const UNWANTED_DATAGRAM = /^(transport:0xa|stateless_reset)$/;
const LATE_CRYPTO = /^(closed:0x107|stateless_reset|transport:0xd|tls:0xa)$/;

/**
 * What a flood is judged by: `end` is how its connections may end. `frames` are counted one by one by the server's guard;
 * `nothing` is something a connection may do for ever, because it costs the server nothing more.
 */
const FLOODS = [
  ...['empty-data', 'unknown-frames', 'unknown-streams', 'priority-update', 'stop-sending'],
  ...['ping-flood', 'path-challenge', 'cid-churn', 'flow-frames', 'stream-frames', 'ack-flood'],
].map((kind) => ({ name: kind, kind, flood: { end: EXCESSIVE_LOAD, of: 'frames' } }));

const OTHER_FLOODS = [
  { name: 'settings-churn', kind: 'settings-churn', flood: { end: CHURN, of: 'connections' } },
  { name: 'datagrams', kind: 'datagrams', flood: { end: UNWANTED_DATAGRAM, of: 'connections' } },
  { name: 'late-crypto', kind: 'late-crypto', flood: { end: LATE_CRYPTO, of: 'frames' } },
  { name: 'tiny-windows', kind: 'tiny-windows', path: SOURCE, flood: { end: EXCESSIVE_LOAD, of: 'frames' } },
  {
    name: 'frozen-windows',
    kind: 'frozen-windows',
    path: SOURCE,
    flood: { end: EXCESSIVE_LOAD, of: 'nothing' },
  },
];

const OTHERS = [
  ...['huge-headers', 'many-fields', 'trickle', 'half-requests', 'garbage-streams'],
  ...['open-reset', 'garbage-udp', 'connect-churn', 'vanish'],
].map((kind) => ({ name: kind, kind }));

const FAIRNESS = [
  { name: 'fairness-download', kind: 'fairness', flags: ['--download', SOURCE] },
  { name: 'fairness-upload', kind: 'fairness', flags: ['--upload', '/sink'] },
];

/** All: name here, kind of `peer attack`, flags, path to attack, and for a flood what becomes of it. */
export const ATTACKS = [
  ...[...OTHERS, ...FLOODS, ...OTHER_FLOODS].map((one) => ({
    flags: ['--neighbour'],
    path: '/hello',
    ...one,
  })),
  ...FAIRNESS.map((one) => ({ path: '/hello', ...one })),
];
