import type { HistogramCounts } from '../model/histogram.ts';

/** One family of metrics: what Prometheus is told once, and how its samples are read from a record. */
export interface Family<R> {
  kind: 'counter' | 'gauge' | 'histogram';
  name: string;
  help: string;
  read(record: R): readonly Sample[];
}

export interface Sample {
  labels: Readonly<Record<string, string | number>>;
  value: number | HistogramCounts;
}

const NO_LABELS = {};

type Maybe<T> = T | null | undefined;

/** What a record does not tell gives no sample: absent is not 0. */
const one = (value: Maybe<number | HistogramCounts>): readonly Sample[] =>
  value === null || value === undefined ? [] : [{ labels: NO_LABELS, value }];

export function counter<R>(name: string, help: string, of: (record: R) => Maybe<number>): Family<R> {
  return { kind: 'counter', name, help, read: (r) => one(of(r)) };
}

export function gauge<R>(name: string, help: string, of: (record: R) => Maybe<number>): Family<R> {
  return { kind: 'gauge', name, help, read: (r) => one(of(r)) };
}

export function histogram<R>(name: string, help: string, of: (record: R) => Maybe<HistogramCounts>): Family<R> {
  return { kind: 'histogram', name, help, read: (r) => one(of(r)) };
}

/** A family with labels: one sample for each entry. */
export function labelled<R>(
  kind: Family<R>['kind'],
  name: string,
  help: string,
  read: (record: R) => readonly Sample[],
): Family<R> {
  return { kind, name, help, read };
}

/** One sample for each property of an object, under one label. */
export function byKey(label: string, values: Maybe<Readonly<Record<string, number | HistogramCounts>>>): Sample[] {
  return Object.entries(values ?? {}).map(([key, value]) => ({ labels: { [label]: key }, value }));
}
