// CPU time, memory and threads of a process and its descendants, from /proc. Where there is none (macOS, Windows), undefined.
import { readdirSync, readFileSync } from 'node:fs';

// Fixed for user space on every Linux, whatever the kernel's own clock does.
const TICKS_PER_SECOND = 100;

// Ticks are cut, not rounded; a larger difference means that threads have ended and taken their nanoseconds with them.
const CUT_SECONDS = 0.05;

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function taskIds(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function family(pid) {
  const children = taskIds(pid).flatMap(
    (task) => read(`/proc/${pid}/task/${task}/children`)?.trim().split(' ') ?? [],
  );
  return [pid, ...children.filter(Boolean).flatMap((child) => family(Number(child)))];
}

/**
 * A reading of the CPU time used so far: exact nanoseconds of the living threads, and ticks that also count ended ones.
 * `since(earlier)` is the time between two readings, in seconds.
 */
export function cpuSeconds(pid) {
  const pids = family(pid);
  if (read(`/proc/${pid}/schedstat`) === undefined) return undefined;
  let living = 0;
  let ticks = 0;
  for (const one of pids) {
    for (const task of taskIds(one)) {
      living += Number(read(`/proc/${one}/task/${task}/schedstat`)?.split(' ')[0] ?? 0) / 1e9;
    }
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
    const fields = read(`/proc/${one}/stat`)?.split(') ').at(-1)?.split(' ');
    if (fields) ticks += (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }
  return {
    living,
    ticks,
    since(earlier) {
      const exact = living - earlier.living;
      const coarse = ticks - earlier.ticks;
      return coarse - exact > CUT_SECONDS ? coarse : exact;
    },
  };
}

/** The most memory that was resident at any time, in MiB. */
export function peakRssMiB(pid) {
  return mebibytes(pid, /VmHWM:\s+(\d+)/);
}

/** The memory that is resident now, in MiB. */
export function rssMiB(pid) {
  return mebibytes(pid, /VmRSS:\s+(\d+)/);
}

function mebibytes(pid, line) {
  const kibibytes = family(pid).map((one) => line.exec(read(`/proc/${one}/status`) ?? '')?.[1]);
  if (kibibytes.every((value) => value === undefined)) return undefined;
  return kibibytes.reduce((sum, value) => sum + Number(value ?? 0), 0) / 1024;
}

/** The number of threads. */
export function threads(pid) {
  const count = family(pid).reduce((sum, one) => sum + taskIds(one).length, 0);
  return count || undefined;
}
