/** How long a point stays, in milliseconds. */
export const WINDOW_MS = 30_000;

const MARGIN = { top: 12, right: 8, bottom: 26, left: 58 };
const LOST_HEIGHT = 12;
const DIVISIONS = 5;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Draws round-trip times over time: dots for what came back, ticks below for what did not. */
export class Plot {
  #canvas;
  /** Points: { at, ms }; `ms` is null for what was lost. */
  #series = { datagrams: [], streams: [] };

  constructor(canvas) {
    this.#canvas = canvas;
    const frame = () => {
      this.#draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  add(series, at, ms) {
    this.#series[series].push({ at, ms });
  }

  /** What is on view of a series: how many came back, their median in milliseconds, how many were lost. */
  summary(series) {
    const points = this.#visible(series);
    const times = points.flatMap(({ ms }) => (ms === null ? [] : [ms])).sort((a, b) => a - b);
    return {
      count: times.length,
      median: times[times.length >> 1],
      lost: points.length - times.length,
    };
  }

  #visible(series) {
    const since = performance.now() - WINDOW_MS;
    const points = this.#series[series];
    const from = points.findIndex(({ at }) => at >= since);
    points.splice(0, from === -1 ? points.length : from);
    return points;
  }

  #draw() {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext('2d');
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const color = (name) => {
      // Resolves light-dark() for the scheme of the page.
      canvas.style.color = `var(--${name})`;
      return style.color;
    };
    const datagrams = this.#visible('datagrams');
    const streams = this.#visible('streams');
    const top = ceiling([...datagrams, ...streams]);
    const now = performance.now();
    const bottom = height - MARGIN.bottom - LOST_HEIGHT;
    const x = (at) => MARGIN.left + (width - MARGIN.left - MARGIN.right) * (1 - (now - at) / WINDOW_MS);
    const y = (ms) => bottom - (bottom - MARGIN.top) * Math.min(ms / top, 1);

    context.font = '12px system-ui, sans-serif';
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (let n = 0; n <= DIVISIONS; n++) {
      const ms = (top * n) / DIVISIONS;
      context.fillStyle = color('line');
      context.fillRect(MARGIN.left, y(ms), width - MARGIN.left - MARGIN.right, 1);
      context.fillStyle = color('quiet');
      context.fillText(`${Number(ms.toFixed(2))} ms`, MARGIN.left - 8, y(ms));
    }
    context.textBaseline = 'bottom';
    for (const seconds of [30, 20, 10, 0]) {
      context.textAlign = seconds === 30 ? 'left' : seconds === 0 ? 'right' : 'center';
      context.fillStyle = color('quiet');
      context.fillText(seconds === 0 ? 'now' : `${seconds} s ago`, x(now - seconds * 1000), height - 2);
    }
    dots(context, streams, color('streams'), x, y);
    dots(context, datagrams, color('datagrams'), x, y);
    context.fillStyle = color('lost');
    for (const { at, ms } of datagrams)
      if (ms === null) context.fillRect(x(at), bottom + 4, 2, LOST_HEIGHT - 4);
  }
}

function dots(context, points, color, x, y) {
  context.fillStyle = color;
  for (const { at, ms } of points) {
    if (ms === null) continue;
    context.beginPath();
    context.arc(x(at), y(ms), 2.5, 0, 2 * Math.PI);
    context.fill();
  }
}

/** The top of the scale: above 98 % of all, so that one late answer does not flatten the rest. */
function ceiling(points) {
  const times = points.flatMap(({ ms }) => (ms === null ? [] : [ms])).sort((a, b) => a - b);
  const high = (times[Math.floor(times.length * 0.98)] ?? 1) * 1.2;
  return STEPS.find((step) => step >= high) ?? high;
}
