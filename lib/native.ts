import process from 'node:process';
import type * as Binding from '../binding.cjs';
import { H3Error } from './errors.js';
import { loadNative, packageVersion } from './load-native.cjs';

/** Platforms that have a binary, as in the names of their packages: the folders of npm/. */
export const PLATFORMS: readonly string[] = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-arm64-msvc',
  'win32-x64-msvc',
];

/** The generated loader names the package of the platform in what it throws; its fallback, WebAssembly, is not made. */
const PACKAGE = /@trilane\/binding-(?!wasm)([a-z0-9-]+)/;
/** How the loader and the runtimes begin the message of a file that is not there; else a file was found and failed. */
const NOT_THERE = /^(?:Cannot find |Could not resolve |Failed to load native binding)/;
/** How the loader begins when it knows no package to look for. */
const UNSUPPORTED = /^Unsupported (?:OS|architecture)/;
/** Reasons that are followed along `cause`. */
const MAX_REASONS = 32;

const native = load();

// process.exit() runs no clean-up of the runtimes: without this, peers would wait for as long as a connection may be silent.
process.once('exit', () => native.leave());

/** A server of the core. */
export const NativeServer: typeof Binding.NativeServer = native.NativeServer;
export type NativeServer = Binding.NativeServer;
/** A client of the core. */
export const NativeClient: typeof Binding.NativeClient = native.NativeClient;
export type NativeClient = Binding.NativeClient;
/** Open exchanges of either. */
export const NativeExchanges: typeof Binding.NativeExchanges = native.NativeExchanges;
export type NativeExchanges = Binding.NativeExchanges;
/** A folder whose files the core may open. */
export const NativeFolder: typeof Binding.NativeFolder = native.NativeFolder;
export type NativeFolder = Binding.NativeFolder;
/** The media type of a file's name. */
export const mediaType: typeof Binding.mediaType = native.mediaType;

function load(): ReturnType<typeof loadNative> {
  try {
    return loadNative();
  } catch (error) {
    throw new H3Error('ERR_H3_NATIVE', loadMessage(reasonsOf(error), packageVersion()), { cause: error });
  }
}

/** What to tell a user for whom the native part did not load, from the messages of the loader. */
export function loadMessage(reasons: readonly string[], version: string): string {
  const platform = reasons.map((reason) => PACKAGE.exec(reason)?.[1]).find((name) => name !== undefined);
  const failure = reasons.find((reason) => !NOT_THERE.test(reason) && !UNSUPPORTED.test(reason));
  if (failure !== undefined) {
    return [
      `trilane cannot load its native binary: ${failure}`,
      '- On Deno this needs --allow-ffi, --allow-read and --allow-env.',
      '- Where the file is damaged or of another system: remove node_modules and install again.',
    ].join('\n');
  }
  if (platform === undefined || !PLATFORMS.includes(platform)) {
    const here = platform ?? `${process.platform}-${process.arch}`;
    return `trilane has no native binary for this platform (${here}); there are binaries for ${PLATFORMS.join(', ')}`;
  }
  const name = `@trilane/binding-${platform}`;
  return [
    `trilane does not find its native binary: the package ${name} is not installed. Two causes are likely:`,
    '- Optional dependencies were left out (--omit=optional, --no-optional, --ignore-optional): install again with them.',
    `- node_modules or the lock file comes from another platform (copied into a container; glibc against musl, as in Alpine): remove both and install again on ${platform}. To add the package by hand: npm install --no-save ${name}@${version}`,
  ].join('\n');
}

/** The messages along `cause`, the first lines of them. */
function reasonsOf(error: unknown): string[] {
  const reasons: string[] = [];
  let at: unknown = error;
  while (at !== undefined && at !== null && reasons.length < MAX_REASONS) {
    const { message, cause } = Object(at) as { message?: unknown; cause?: unknown };
    reasons.push(String(message ?? at).split('\n', 1)[0] as string);
    at = cause;
  }
  return reasons;
}
