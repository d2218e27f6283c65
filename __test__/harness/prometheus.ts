import { createRequire } from 'node:module';

/** One family of metrics, as a parser of the text format reads it. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly metrics: readonly {
    readonly value?: string;
    readonly labels?: Record<string, string>;
  }[];
}

/** Reads the text as Prometheus does (exposition format 0.0.4). */
export const parseMetrics = createRequire(import.meta.url)('parse-prometheus-text-format') as (
  text: string,
) => readonly Family[];
