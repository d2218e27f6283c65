// What the figures of a run should be. A goal is { id, subject, text, most | least, unit, value(rows) }: `subject` is the peer it
// is a goal for, `value` finds what is compared, undefined if something of it was not measured. All but a few are ratios within
// one run, which another machine can check.

/** A row's figure relative to another row's: `[load, peer]` each, in one part. */
export function ratio(part, figure, [load, peer], [otherLoad, other], bound) {
  return {
    id: `${part}/${load}/${peer}:${figure}/${otherLoad === load ? other : `${otherLoad}/${other}`}`,
    subject: peer,
    unit: '×',
    isRatio: true,
    ...bound,
    value(rows) {
      const mine = rows.find(part, load, peer);
      const theirs = rows.find(part, otherLoad, other);
      return mine && theirs && mine.ratio(figure, theirs);
    },
  };
}

/** The highest over the lowest of a figure, over several loads of one peer. */
export function spread(part, figure, loads, peer, bound) {
  return {
    id: `${part}/${loads.join('+')}/${peer}:${figure}`,
    subject: peer,
    unit: '×',
    isRatio: true,
    ...bound,
    value(rows) {
      const values = loads.map((load) => rows.find(part, load, peer)?.median(figure));
      return values.includes(undefined) ? undefined : Math.max(...values) / Math.min(...values);
    },
  };
}

/** A figure less another row's. */
export function difference(part, figure, [load, peer], [otherLoad, other], bound) {
  return {
    id: `${part}/${load}/${peer}:${figure}-${other}`,
    subject: peer,
    ...bound,
    value(rows) {
      const [mine, theirs] = [rows.find(part, load, peer), rows.find(part, otherLoad, other)].map((row) =>
        row?.median(figure),
      );
      return mine === undefined || theirs === undefined ? undefined : mine - theirs;
    },
  };
}

/** A figure as it is. */
export function absolute(part, figure, [load, peer], bound) {
  return {
    id: `${part}/${load}/${peer}:${figure}`,
    subject: peer,
    ...bound,
    value: (rows) => rows.find(part, load, peer)?.median(figure),
  };
}

/** Every goal of the parts with what was found: `verdict` is met, not met, or not measured. */
export function judged(parts, rows) {
  return parts.flatMap((part) =>
    (part.goals ?? []).map((goal) => {
      const value = goal.value(rows);
      return { ...goal, part, value, verdict: verdict(goal, value) };
    }),
  );
}

function verdict({ most, least }, value) {
  if (value === undefined) return 'not measured';
  return (most === undefined || value <= most) && (least === undefined || value >= least) ? 'met' : 'not met';
}

/** `≤ 0.65 ×` */
export function wanted({ most, least, unit }) {
  return `${most === undefined ? `≥ ${least}` : `≤ ${most}`} ${unit}`;
}
