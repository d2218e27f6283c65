import { HEIGHT, KEYS, TICKS_PER_SECOND, WIDTH } from './protocol.js';

/** Units that a player moves in a tick. */
const STEP = 420 / TICKS_PER_SECOND;
const PLAYER_RADIUS = 24;
const SPARK_RADIUS = 10;
const SPARKS = 12;
const MAX_SCORE = 0xffff;

/** Where players are and what they have. Knows nothing of the network. */
export class World {
  tick = 0;
  /** By id. */
  players = new Map();
  sparks = Array.from({ length: SPARKS }, place);

  join() {
    let id = 1;
    while (this.players.has(id)) id += 1;
    const player = { id, ...place(), score: 0, keys: 0, lastInput: 0 };
    this.players.set(id, player);
    return player;
  }

  leave(id) {
    this.players.delete(id);
  }

  /** One thirtieth of a second later. */
  step() {
    this.tick += 1;
    for (const player of this.players.values()) {
      move(player);
      this.#collect(player);
    }
  }

  #collect(player) {
    for (const [n, spark] of this.sparks.entries()) {
      if (Math.hypot(player.x - spark.x, player.y - spark.y) > PLAYER_RADIUS + SPARK_RADIUS) continue;
      player.score = Math.min(player.score + 1, MAX_SCORE);
      this.sparks[n] = place();
    }
  }
}

function move(player) {
  const held = (key) => ((player.keys & key) === 0 ? 0 : 1);
  const right = held(KEYS.right) - held(KEYS.left);
  const down = held(KEYS.down) - held(KEYS.up);
  const step = right !== 0 && down !== 0 ? STEP * Math.SQRT1_2 : STEP;
  player.x = between(PLAYER_RADIUS, player.x + right * step, WIDTH - PLAYER_RADIUS);
  player.y = between(PLAYER_RADIUS, player.y + down * step, HEIGHT - PLAYER_RADIUS);
}

function place() {
  const along = (length) => PLAYER_RADIUS + Math.random() * (length - 2 * PLAYER_RADIUS);
  return { x: along(WIDTH), y: along(HEIGHT) };
}

function between(least, value, most) {
  return Math.min(Math.max(value, least), most);
}
