import assert from 'node:assert/strict';
import { type H3Error, type H3ErrorCode, isH3Error } from 'trilane';
import { soon } from './deadline.js';

/** Waits for `promise` to reject as fetch does, and returns the H3Error behind it. */
export async function networkError(
  promise: Promise<unknown>,
  code: H3ErrorCode,
  message = 'fetch failed',
): Promise<H3Error> {
  const error = await rejection(promise);
  assert.ok(error instanceof TypeError, `rejected with ${String(error)}`);
  assert.equal(error.message, message);
  const { cause } = error;
  assert.ok(isH3Error(cause), `the cause is ${String(cause)}`);
  assert.equal(cause.code, code, cause.message);
  return cause;
}

/** Waits for `promise` to reject with a TypeError that has a code. */
export async function usageMistake(promise: Promise<unknown>, code: H3ErrorCode): Promise<Error> {
  const error = await rejection(promise);
  assert.ok(error instanceof TypeError, `rejected with ${String(error)}`);
  assert.equal((error as { code?: unknown }).code, code, error.message);
  return error;
}

/** What `promise` rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const [outcome] = await soon('a rejection', Promise.allSettled([promise]));
  if (outcome?.status === 'rejected') return outcome.reason;
  throw new assert.AssertionError({ message: 'it did not reject' });
}
