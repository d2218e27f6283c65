/** One fact about the package, checked with `node:assert/strict` and without a test runner, so that it runs on any runtime. */
export interface Spec {
  readonly name: string;
  /** Time it may take, in milliseconds. Default 30,000. */
  readonly ms?: number;
  run(): Promise<void> | void;
}
