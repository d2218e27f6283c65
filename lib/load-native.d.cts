import type * as Binding from '../binding.cjs';

/** Loads the native part. Throws what the generated loader throws, its reasons along `cause`. */
export function loadNative(): typeof Binding;
/** The version in package.json. */
export function packageVersion(): string;
