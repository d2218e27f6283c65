/** Where errors of handlers and reasons for closing go; `console` is one. What its methods throw is ignored. */
export interface Logger {
  /** Details for whoever looks for a fault. */
  debug(...data: unknown[]): void;
  /** What is as it should be. */
  info(...data: unknown[]): void;
  /** What will fail one day if nobody acts. */
  warn(...data: unknown[]): void;
  /** What a handler or hook threw. */
  error(...data: unknown[]): void;
}

/** `logger`, but one that throws, or whose promise rejects, takes nothing with it: what it had to say is lost. */
export function harmless(logger: Logger): Logger {
  const write = (level: keyof Logger, data: unknown[]): void => {
    try {
      const result: unknown = logger[level](...data);
      if (result instanceof Promise) result.catch(() => undefined);
    } catch {
      // There is nobody left to tell.
    }
  };
  return {
    debug: (...data) => write('debug', data),
    info: (...data) => write('info', data),
    warn: (...data) => write('warn', data),
    error: (...data) => write('error', data),
  };
}
