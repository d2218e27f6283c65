// What the datagrams are made of, for the server, the page and the bot. Numbers are big-endian.

export const TICKS_PER_SECOND = 30;
/** The arena, in units of the world. */
export const WIDTH = 1600;
export const HEIGHT = 900;
/** The keys that a player holds, as bits. */
export const KEYS = { up: 1, down: 2, left: 4, right: 8 };

const INPUT_BYTES = 5;
const HEAD_BYTES = 11;
const PLAYER_BYTES = 7;
const SPARK_BYTES = 4;

/** Player to server: all keys that are held now. `number` counts up from 1. */
export function encodeInput({ number, keys }) {
  const view = new DataView(new ArrayBuffer(INPUT_BYTES));
  view.setUint32(0, number);
  view.setUint8(4, keys);
  return new Uint8Array(view.buffer);
}

/** Null for what is no input. */
export function decodeInput(bytes) {
  if (bytes.byteLength !== INPUT_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, INPUT_BYTES);
  return { number: view.getUint32(0), keys: view.getUint8(4) };
}

/** Server to player: the whole world, 11 bytes, 7 for each player and 4 for each spark: it must fit into one datagram. */
export function encodeSnapshot({ tick, players, sparks }, you) {
  const view = new DataView(
    new ArrayBuffer(HEAD_BYTES + players.size * PLAYER_BYTES + sparks.length * SPARK_BYTES),
  );
  view.setUint32(0, tick);
  view.setUint32(4, players.get(you)?.lastInput ?? 0);
  view.setUint8(8, you);
  view.setUint8(9, players.size);
  view.setUint8(10, sparks.length);
  let at = HEAD_BYTES;
  for (const { id, x, y, score } of players.values()) {
    view.setUint8(at, id);
    view.setUint16(at + 1, x);
    view.setUint16(at + 3, y);
    view.setUint16(at + 5, score);
    at += PLAYER_BYTES;
  }
  for (const { x, y } of sparks) {
    view.setUint16(at, x);
    view.setUint16(at + 2, y);
    at += SPARK_BYTES;
  }
  return new Uint8Array(view.buffer);
}

/** `players` is a Map by id; `lastInput` the newest input of yours that the world has seen. */
export function decodeSnapshot(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const players = new Map();
  const sparks = [];
  let at = HEAD_BYTES;
  for (let n = view.getUint8(9); n > 0; n--) {
    const id = view.getUint8(at);
    players.set(id, { x: view.getUint16(at + 1), y: view.getUint16(at + 3), score: view.getUint16(at + 5) });
    at += PLAYER_BYTES;
  }
  for (let n = view.getUint8(10); n > 0; n--) {
    sparks.push({ x: view.getUint16(at), y: view.getUint16(at + 2) });
    at += SPARK_BYTES;
  }
  return { tick: view.getUint32(0), lastInput: view.getUint32(4), you: view.getUint8(8), players, sparks };
}
