/** One fact about the package, checked with `node:assert/strict` and without a test runner, so that it runs on any runtime. */
export interface Spec {
  readonly name: string;
  run(): Promise<void> | void;
}
