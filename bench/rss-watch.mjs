// The most memory a process has resident between two moments.
import { rssMiB } from './cpu.mjs';

const EVERY_MS = 20;

/** Watches from now on; `stop()` returns the peak in MiB, undefined where memory cannot be read. */
export function watchRss(pid) {
  let peak = rssMiB(pid);
  const look = () => {
    const now = rssMiB(pid);
    if (now !== undefined) peak = Math.max(peak ?? 0, now);
  };
  const timer = setInterval(look, EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      look();
      return peak;
    },
  };
}
