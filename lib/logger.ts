/** Where errors of handlers and reasons for closing go; `console` is one. What its methods throw is ignored. */
export interface Logger {
  debug(...data: unknown[]): void;
  info(...data: unknown[]): void;
  warn(...data: unknown[]): void;
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
