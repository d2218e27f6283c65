import { HEIGHT, TICKS_PER_SECOND, WIDTH } from './protocol.js';

const TICK_MS = 1000 / TICKS_PER_SECOND;
const PLAYER_RADIUS = 24;
const SPARK_RADIUS = 10;
/** Of the canvas, in pixels of CSS: below it, scores in the players cannot be read. */
const LEGIBLE_WIDTH = 600;
/** Between neighbours in the order in which players come, so that they differ well. */
const GOLDEN_ANGLE = 137.5;

/** Draws the world: one tick behind the newest state, so that there always are two to move between. */
export class Arena {
  #canvas;
  #before = null;
  #newest = null;
  #arrived = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    const frame = () => {
      this.#draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  show(snapshot) {
    this.#before = this.#newest ?? snapshot;
    this.#newest = snapshot;
    this.#arrived = performance.now();
  }

  /** Where this player is, as the newest state has it. */
  get me() {
    return this.#newest?.players.get(this.#newest.you);
  }

  colorOf(id) {
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    return `oklch(${dark ? 0.76 : 0.58} 0.14 ${(id * GOLDEN_ANGLE + 120) % 360})`;
  }

  /** The place in the world that an event of the pointer is at. */
  worldOf({ offsetX, offsetY }) {
    const scale = this.#canvas.clientWidth / WIDTH;
    return { x: offsetX / scale, y: offsetY / scale };
  }

  #draw() {
    const canvas = this.#canvas;
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round((width * HEIGHT) / WIDTH);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext('2d');
    const scale = width / WIDTH;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    if (this.#newest === null) return;
    const style = getComputedStyle(canvas);
    const color = (name) => {
      canvas.style.color = `var(--${name})`; // resolves light-dark() for the scheme of the page
      return style.color;
    };
    for (const { x, y } of this.#newest.sparks) disc(context, x, y, SPARK_RADIUS, color('spark'));
    const part = Math.min((performance.now() - this.#arrived) / TICK_MS, 1);
    context.font = '600 20px system-ui, sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    for (const [id, player] of this.#newest.players) {
      const from = this.#before.players.get(id) ?? player;
      const x = from.x + (player.x - from.x) * part;
      const y = from.y + (player.y - from.y) * part;
      disc(context, x, y, PLAYER_RADIUS, this.colorOf(id));
      if (id === this.#newest.you) ring(context, x, y, PLAYER_RADIUS + 6, color('text'));
      if (canvas.clientWidth < LEGIBLE_WIDTH) continue;
      context.fillStyle = color('panel');
      context.fillText(String(player.score), x, y + 1);
    }
  }
}

function disc(context, x, y, radius, color) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function ring(context, x, y, radius, color) {
  context.strokeStyle = color;
  context.lineWidth = 3;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}
