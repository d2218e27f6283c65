// What the server promises under hostile input, in numbers, and whether it was kept.

const MOST_GROWTH_MIB = 64;
const MOST_LEFT_MIB = 16;
const MOST_SLOWDOWN = 5;

// Attacker, probes and server share few cores: a scheduler's turn or two is no fault of the server. Five times an idle p99 of
// half a millisecond would be less than one such turn.
const NOISE_MS = 10;

const LONGEST_GAP_MS = 500;

// `limits.maxOverheadFramesPerSecond`, of which a burst may take two seconds' worth at once. A connection that carried much more
// than that to the end was not guarded; the factor leaves room for frames that were earned and for those on their way.
const GUARDED_PER_SECOND = 10_000;
const BURST_SECONDS = 2;
const LENIENCE = 3;

/**
 * What is broken, in words; an empty list if nothing is. What is `late` may have been so by what else the machine did, and is
 * broken only if it is late again.
 */
export function judge(measured) {
  const { attack, elsewhere } = measured;
  const idle = quieter(elsewhere.idle, attack.neighbour?.idle);
  return {
    broken: broken(measured),
    late: [
      ...(attack.classes ? [] : slowed('other connection', idle, elsewhere.attacked)),
      ...(attack.neighbour?.attacked ? slowed('same connection', idle, attack.neighbour.attacked) : []),
    ],
  };
}

function broken(measured) {
  const { attack, flood, lasted, before, peak, after, elsewhere, alive } = measured;
  return [
    ...(alive ? [] : ['the server is gone or does not answer']),
    ...(attack.error ? [`the attack failed: ${attack.error.kind} ${attack.error.reason ?? ''}`] : []),
    ...(flood ? unguarded(flood, attack, lasted) : []),
    ...(attack.classes ? starved(attack.classes) : memory(before, peak, after)),
    ...errors('other connection', elsewhere.attacked),
    ...(attack.neighbour?.attacked ? errors('same connection', attack.neighbour.attacked) : []),
  ];
}

/** A flood ends as its kind says, or keeps below what every connection may do. */
function unguarded({ end, of }, { ends, frames_sent: frames }, lasted) {
  const others = Object.keys(ends).filter((one) => one !== 'survived' && !end.test(one));
  const allowed = GUARDED_PER_SECOND * (lasted + BURST_SECONDS) * LENIENCE;
  const mustEnd = of === 'connections' || (of === 'frames' && frames > allowed);
  const isEnded = Object.keys(ends).some((one) => end.test(one));
  return [
    ...others.map((one) => `a flooded connection ended with ${one}`),
    ...(mustEnd && !isEnded ? [`no flooded connection was ended after ${frames} frames`] : []),
  ];
}

/** A disturbed second of idleness must not excuse a slow attacked one: both neighbours are held to the better of theirs. */
function quieter(one, other) {
  return other && other.requests > 0 && other.p99_us < one.p99_us ? other : one;
}

function memory(before, peak, after) {
  if (before === undefined) return [];
  return [
    ...(peak - before > MOST_GROWTH_MIB ? [`RSS grew by more than ${MOST_GROWTH_MIB} MiB`] : []),
    ...(after - before > MOST_LEFT_MIB ? [`RSS stayed more than ${MOST_LEFT_MIB} MiB up`] : []),
  ];
}

function slowed(where, idle, attacked) {
  const most = Math.max(MOST_SLOWDOWN * (idle.p99_us / 1000), NOISE_MS);
  return attacked.p99_us / 1000 > most ? [`${where}: p99 above ${most.toFixed(1)} ms`] : [];
}

function errors(where, { requests, errors: failed, errors_by_kind: kinds, skipped }) {
  return [
    ...(requests === 0 ? [`${where}: nothing was answered`] : []),
    ...(failed > 0 ? [`${where}: ${JSON.stringify(kinds)}`] : []),
    ...(skipped > 0 ? [`${where}: ${skipped} requests not sent, too many were unanswered`] : []),
  ];
}

/** Memory is not judged here: a hundred busy loops make as much garbage as the runtime's heap lets them. */
function starved(classes) {
  return Object.entries(classes).flatMap(([name, one]) => [
    ...(one.longest_gap_ms > LONGEST_GAP_MS ? [`${name} stood still for ${one.longest_gap_ms} ms`] : []),
    ...(one.errors > 0 ? [`${name}: ${JSON.stringify(one.errors_by_kind)}`] : []),
  ]);
}
