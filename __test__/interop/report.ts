// Runs in browsers too: nothing is imported.

/** What a check came to: a line that every client of `interop/` prints for each of its checks. */
export interface CheckReport {
  readonly check: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly error?: string | undefined;
  /** Why the check was left out; `ok` is then true. */
  readonly skipped?: string | undefined;
}

const CHECK_MS = 20_000;

/** Runs every check but those in `skipped`, which says why, one after the other, and prints a line for each. */
export async function reportChecks(
  checks: Readonly<Record<string, () => Promise<void>>>,
  print: (line: string) => unknown,
  skipped: Readonly<Record<string, string>> = {},
): Promise<void> {
  for (const [check, run] of Object.entries(checks)) {
    const started = performance.now();
    const why = skipped[check];
    let error: string | undefined;
    if (why === undefined) {
      await inTime(check, run()).catch((thrown: unknown) => {
        error = String(thrown);
      });
    }
    const ms = Math.round(performance.now() - started);
    const report: CheckReport = { check, ok: error === undefined, ms, error, skipped: why };
    print(JSON.stringify(report));
  }
}

async function inTime(check: string, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${CHECK_MS} ms for ${check}`)), CHECK_MS);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
