import { usageError } from './errors.js';
import { checkFunction, checkKeys, checkObject } from './option-check.js';
import {
  type ErrorHandler,
  type H3Handlers,
  HANDLER_KEYS,
  OPTION_KEYS,
  type ValidatedHandlers,
} from './options.js';
import { type BodyMode, type Handler, normaliseRoutes, type RouteDefinitions } from './routes.js';

/** What `reload()` puts in the place of what there is; what is left out stays. */
export interface H3ReloadOptions<Patterns extends readonly string[] = readonly string[]> {
  /** All routes; those that were there before are gone. */
  routes?: RouteDefinitions<Patterns> | undefined;
  /** Answers what no route matches; `null`: nobody does, 404. */
  fetch?: H3Handlers['fetch'] | null;
  /** Called when a handler fails; `null`: the logger, and a plain 500. */
  error?: H3Handlers['error'] | null;
}

/**
 * Checks what the user passed to `reload()`; `mode` is that of the server. Throws a TypeError that names what is wrong, and
 * says of an option that there is no changing it.
 */
export function validateReload(
  options: unknown,
  current: ValidatedHandlers,
  mode: BodyMode,
): ValidatedHandlers {
  const given = checkObject(options, 'the argument of reload()');
  const fixed = Object.keys(given).find((key) => isFixed(key));
  if (fixed !== undefined) {
    throw usageError(
      'ERR_H3_RELOAD',
      `option "${fixed}" cannot be changed by reload(): connections that are open were made with it; it takes ${HANDLER_KEYS.join(', ')}. Make a new server for another "${fixed}"`,
    );
  }
  checkKeys(given, HANDLER_KEYS, 'the argument of reload()');
  return {
    routes: given['routes'] === undefined ? current.routes : normaliseRoutes(given['routes'], mode),
    fetch: replaced<Handler>(given['fetch'], current.fetch, 'fetch'),
    error: replaced<ErrorHandler>(given['error'], current.error, 'error'),
  };
}

function isFixed(key: string): boolean {
  return OPTION_KEYS.includes(key) && !(HANDLER_KEYS as readonly string[]).includes(key);
}

function replaced<Callback>(value: unknown, current: Callback | null, name: string): Callback | null {
  if (value === undefined) return current;
  return value === null ? null : checkFunction<Callback>(value, name);
}
