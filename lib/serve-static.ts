import { resolve } from 'node:path';
import { builtin } from './builtin.js';
import { usageError } from './errors.js';
import { Exchange } from './exchange.js';
import { FileBody } from './file-body.js';
import { bodyResponse, pathOf } from './file-response.js';
import { packHeaders } from './headers.js';
import { Response as FastResponse } from './lazy-response.js';
import { NativeFolder } from './native.js';
import { fromNative } from './native-error.js';
import { checkChoice, checkFunction, checkKeys, checkObject, checkText, optional } from './option-check.js';
import { partsOf } from './request.js';
import type { H3Server } from './server.js';

/** Options of `serveStatic`; each may be left out. */
export interface ServeStaticOptions {
  /**
   * Path in front of the names of files, such as `"/assets"`. Default: for a route with a `*`, what the pattern has in front
   * of it; else none.
   */
  prefix?: string | undefined;
  /** Names of files that stand for their folder, the first that exists; `[]`: none. Default `"index.html"`. */
  index?: string | readonly string[] | undefined;
  /** Whether files and folders whose names begin with a dot are served. Default `"hide"`: they are answered 404. */
  dotfiles?: 'hide' | 'serve' | undefined;
  /**
   * Where symbolic links may lead: `"beneath"`, by relative links to what lies in the folder, or `"anywhere"`: then who can
   * make a link in the folder can have any file served. Default `"beneath"`.
   */
  symlinks?: 'beneath' | 'anywhere' | undefined;
  /** Headers of files, or a function that makes them from the path within the folder. Default: none. */
  headers?: ResponseInit['headers'] | ((path: string) => ResponseInit['headers']) | undefined;
  /** Answers GET and HEAD for what is not there. Default: 404. */
  notFound?(request: Request, server: H3Server): Response | Promise<Response>;
}

/** What `serveStatic` makes: the `fetch` of a route, or of the server. */
export type StaticHandler = (request: Request, server: H3Server) => Promise<Response>;

const OPTION_KEYS = Object.keys({
  prefix: 0,
  index: 0,
  dotfiles: 0,
  symlinks: 0,
  headers: 0,
  notFound: 0,
} satisfies Record<keyof ServeStaticOptions, 0>);

/** Names of files in paths with "/" whatever the system. */
const BACKSLASHES = /\\/g;

/**
 * Serves the files of the folder `root`: a handler for a route such as `/assets/*`, or for `fetch`. Files are sent as
 * `fileResponse` sends them. A folder is answered with its index, or with a redirect to its name with a slash; methods other
 * than GET and HEAD with 405; what is not there goes to `notFound`.
 *
 * No request reads outside the folder: not by `..`, encoded slashes or backslashes in its path, and not by links, unless
 * `symlinks` says so. Throws a TypeError for a bad option and if `root` is no folder.
 *
 * @example
 * createH3Server({
 *   routes: [{ method: ['GET', 'HEAD'], pattern: '/assets/*', fetch: serveStatic('./public') }],
 * });
 */
export function serveStatic(root: string | URL, options: ServeStaticOptions = {}): StaticHandler {
  const given = checkObject(options, 'the second argument of serveStatic');
  checkKeys(given, OPTION_KEYS, 'the second argument of serveStatic');
  const folderPath = checkRoot(root);
  const symlinks = optional(given['symlinks'], (value) =>
    checkChoice(value, 'symlinks', ['beneath', 'anywhere']),
  );
  const dotfiles = optional(given['dotfiles'], (value) => checkChoice(value, 'dotfiles', ['hide', 'serve']));
  const followSymlinksAnywhere = symlinks === 'anywhere';
  const folder = new NativeFolder({
    root: folderPath,
    indexes: checkIndex(given['index']),
    serveDotfiles: dotfiles === 'serve',
    followSymlinksAnywhere,
  });
  const prefix = optional(given['prefix'], checkPrefix) ?? null;
  const { headers } = options;
  if (typeof headers !== 'function') packHeaders(headers);
  const notFound =
    optional(given['notFound'], (value) =>
      checkFunction<NonNullable<ServeStaticOptions['notFound']>>(value, 'notFound'),
    ) ?? plainNotFound;
  return async (request, server) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return new FastResponse('Method Not Allowed', { status: 405, headers: { allow: 'GET, HEAD' } });
    }
    const raw = rawPath(request, prefix);
    if (raw === null) return notFound(request, server);
    const path = decodePath(raw.path);
    if (path === null) return notFound(request, server);
    const found = await folder.find(path);
    switch (found.kind) {
      case 'file': {
        if (raw.lacksSlash === true) return slashAdded(raw);
        const name = found.path as string;
        const made = typeof headers === 'function' ? headers(name.replace(BACKSLASHES, '/')) : headers;
        const file = followSymlinksAnywhere
          ? new FileBody('', resolve(folderPath, name))
          : new FileBody(folderPath, name);
        return bodyResponse(file, { headers: made });
      }
      case 'needsSlash':
        return slashAdded(raw);
      case 'nothing':
        return notFound(request, server);
      default:
        throw fromNative(found);
    }
  };
}

/** The path of a request, as the client wrote it. */
interface RawPath {
  /** The part that names the file. */
  readonly path: string;
  /** The last name of the whole path. */
  readonly last: string;
  /** With its question mark. */
  readonly search: string;
  /** The folder itself is meant, but not named as one. */
  readonly lacksSlash?: boolean;
}

/**
 * The path of `request` behind the prefix; null if it does not have the prefix. What the client wrote is taken, not what a
 * URL makes of it: the router has judged that, and a path must not mean one file to it and another here.
 */
function rawPath(request: Request, prefix: string | null): RawPath | null {
  const parts = partsOf(request);
  const url = parts?.url ?? request.url;
  const start = url.indexOf('/', url.indexOf('://') + 3);
  const query = url.indexOf('?', start);
  const whole = query === -1 ? url.slice(start) : url.slice(start, query);
  const search = query === -1 ? '' : url.slice(query);
  const last = whole.slice(whole.lastIndexOf('/') + 1);
  if (prefix === null) {
    const rest = parts instanceof Exchange ? parts.rawParam('*') : null;
    return { path: rest ?? whole.slice(1), last, search };
  }
  if (whole === prefix) return { path: '', last, search, lacksSlash: true };
  return whole.startsWith(`${prefix}/`) ? { path: whole.slice(prefix.length + 1), last, search } : null;
}

/** Each name percent-decoded; null if that does not give one name for each. */
function decodePath(path: string): string | null {
  if (!path.includes('%')) return path;
  const names: string[] = [];
  for (const name of path.split('/')) {
    let decoded: string;
    try {
      decoded = decodeURIComponent(name);
    } catch {
      return null;
    }
    if (decoded.includes('/')) return null;
    names.push(decoded);
  }
  return names.join('/');
}

/** Relative, so that it holds behind whatever stands in front of this server, and can lead to no other host. */
function slashAdded({ last, search }: RawPath): Response {
  return new FastResponse(null, { status: 308, headers: { location: `./${last}/${search}` } });
}

function plainNotFound(): Response {
  return new FastResponse('Not Found', { status: 404 });
}

function checkRoot(root: unknown): string {
  const path = resolve(pathOf(root, 'the first argument of serveStatic'));
  let cause: unknown;
  try {
    if (builtin('node:fs').statSync(path).isDirectory()) return path;
  } catch (error) {
    cause = error;
  }
  const reason = cause instanceof Error ? cause.message : `${path} is no folder`;
  throw usageError('ERR_H3_OPTION_FILE', `the folder of serveStatic cannot be used: ${reason}`, cause);
}

function checkIndex(index: unknown): string[] {
  if (index === undefined) return ['index.html'];
  const names: unknown[] = Array.isArray(index) ? index : [index];
  return names.map((name) => {
    const text = checkText(name, 'index', 'the name of a file, or a list of names');
    if (!/[/\\]/.test(text)) return text;
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      `option "index" is ${JSON.stringify(text)}; expected a name without slashes`,
    );
  });
}

function checkPrefix(prefix: unknown): string {
  const text = checkText(prefix, 'prefix', 'a path such as "/assets"');
  if (text.startsWith('/')) return text.endsWith('/') ? text.slice(0, -1) : text;
  throw usageError(
    'ERR_H3_OPTION_TYPE',
    `option "prefix" is ${JSON.stringify(text)}; expected a path that begins with "/"`,
  );
}
