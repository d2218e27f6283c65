import { resolve } from 'node:path';
import { builtin } from './builtin.js';
import { describe, usageError } from './errors.js';
import { FileBody } from './file-body.js';
import { finalStatus, responseOfFile } from './lazy-response.js';
import { checkKeys, checkObject, checkText } from './option-check.js';

/** What an answer from a file is sent with; every property may be left out. */
export interface FileResponseInit {
  /**
   * Status if the whole file is sent. Default 200, and then a request may be answered 206, 304, 412 or 416 instead. Not 204,
   * 205, 206 or 304.
   */
  status?: number | undefined;
  /**
   * Headers; they win over those made from the file, and an `etag` or `last-modified` among them is the one that conditions
   * are judged by. `content-length` and `content-range` are always those of the file. Default: none.
   */
  headers?: ResponseInit['headers'] | undefined;
  /** Content-Type. Default: by the ending of the name, with `charset=utf-8` for text. */
  contentType?: string | undefined;
}

const INIT_KEYS = Object.keys({
  status: 0,
  headers: 0,
  contentType: 0,
} satisfies Record<keyof FileResponseInit, 0>);

/**
 * A Response whose body is a file, opened and read outside JavaScript when it is sent, of any length, as fast as the client
 * takes it. It has Content-Type, Content-Length, Last-Modified, ETag and Accept-Ranges, and answers conditional requests and
 * requests for one range (RFC 9110 §13, §14).
 *
 * `path` is that of the program, not of a client: it may lead anywhere. For the files of a folder use `serveStatic`. A file
 * that cannot be sent goes to `error` as an `H3Error` with code `ERR_H3_FILE_NOT_FOUND`, `ERR_H3_FILE_NOT_REGULAR`,
 * `ERR_H3_FILE_ACCESS` or `ERR_H3_FILE_READ`; one that fails later resets the stream.
 *
 * @example
 * createH3Server({ fetch: () => fileResponse('report.pdf', { headers: { 'cache-control': 'max-age=60' } }) });
 */
export function fileResponse(path: string | URL, init: FileResponseInit = {}): Response {
  const given = checkObject(init, 'the second argument of fileResponse');
  checkKeys(given, INIT_KEYS, 'the second argument of fileResponse');
  return bodyResponse(new FileBody('', resolve(pathOf(path, 'the first argument of fileResponse'))), init);
}

/** A Response of `file` as `init` has it. */
export function bodyResponse(
  file: FileBody,
  { status = 200, headers, contentType }: FileResponseInit,
): Response {
  // 206 is an answer to a Range, which only the file can give (RFC 9110 §15.3.7).
  if (finalStatus(status) === 206) {
    throw usageError(
      'ERR_H3_RESPONSE_STATUS',
      'the status of a file is 206; leave it out: ranges are honoured',
    );
  }
  const response = responseOfFile(file, { status, ...(headers !== undefined && { headers }) });
  if (contentType !== undefined) {
    response.headers.set('content-type', checkText(contentType, 'contentType', 'a media type'));
  }
  return response;
}

/** `path` as one of the file system; `what` names it in errors. */
export function pathOf(path: unknown, what: string): string {
  if (path instanceof URL && path.protocol === 'file:') return builtin('node:url').fileURLToPath(path);
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  const given = typeof path === 'string' ? JSON.stringify(path) : describe(path);
  throw usageError('ERR_H3_OPTION_TYPE', `${what} is ${given}; expected the path of a file, or a file: URL`);
}
