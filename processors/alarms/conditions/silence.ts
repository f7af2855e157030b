import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { Condition, ConditionContext, Explanation } from '../condition.ts';
import type { FactSubject } from '../shared-facts.ts';
import type { IndexedRule } from './levels.ts';
import { SilenceWatch } from './silence-watch.ts';

/**
 * Missing data. What is watched is a unit: a device; a metric of a device, which is missing only while its device speaks; or a group, all of
 * whose devices are silent at once, whatever partitions they are in (group-parts.ts). Time is the partition's clock without our own outages (lived-clock.ts).
 *
 *     heard ──silent for afterMs, or factor × its usual gap──▶ silent ──heard again──▶ heard
 *
 * A metric is judged by the messages of its device, the others by timers at the end of a frame.
 */
export class SilenceConditions implements Condition {
  readonly #rules: readonly SilenceWatch[];
  readonly #byIndex: ReadonlyMap<number, SilenceWatch>;

  constructor(rules: readonly IndexedRule[], context: ConditionContext) {
    this.#rules = rules.map((indexed) => new SilenceWatch(indexed, context));
    this.#byIndex = new Map(rules.map(({ index }, r) => [index, this.#rules[r]]));
  }

  seriesAdded(series: number): void {
    for (const watch of this.#rules) watch.seriesAdded(series);
  }

  message(device: number): void {
    for (const watch of this.#rules) watch.message(device);
  }

  push(series: number): void {
    for (const watch of this.#rules) watch.reading(series);
  }

  text(series: number): void {
    for (const watch of this.#rules) watch.reading(series);
  }

  messageEnd(device: number): void {
    for (const watch of this.#rules) watch.messageEnd(device);
  }

  clock(): void {
    for (const watch of this.#rules) watch.clock();
  }

  endFrame(): void {
    for (const watch of this.#rules) watch.endFrame();
  }

  deviceChanged(device: number): void {
    for (const watch of this.#rules) watch.deviceChanged(device);
  }

  deviceRegistered(device: number): void {
    for (const watch of this.#rules) watch.deviceRegistered(device);
  }

  factHeard(fact: FactSubject): void {
    for (const watch of this.#rules) watch.factHeard(fact);
  }

  groupOf(index: number, device: number): number {
    return this.#byIndex.get(index)?.groupOf(device) ?? -1;
  }

  membersOf(index: number, group: number): Iterable<number> {
    return this.#byIndex.get(index)?.members(group) ?? [];
  }

  siteOfGroup(device: number): string | null {
    for (const watch of this.#rules) {
      const site = watch.siteOfGroup(device);
      if (site !== null) return site;
    }
    return null;
  }

  *needed(sinceMs: number): Generator<number> {
    for (const watch of this.#rules) yield* watch.needed(sinceMs);
  }

  deviceForgotten(device: number): void {
    for (const watch of this.#rules) watch.deviceChanged(device);
  }

  groupsChanged(): void {
    for (const watch of this.#rules) watch.judgeGroups();
  }

  explain(device: number): Explanation[] {
    return this.#rules.flatMap((watch) => watch.explain(device));
  }

  /** count, then for each rule its key and a part */
  save(out: StateWriter): void {
    out.varint(this.#rules.length);
    for (const watch of this.#rules) {
      out.text(watch.key);
      const part = out.inside(watch.key);
      watch.save(part);
      out.part(part);
    }
  }

  restore(from: StateReader): void {
    const restored = new Set<SilenceWatch>();
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      const part = from.part();
      const watch = this.#rules.find((w) => w.key === key);
      if (watch === undefined) continue;
      watch.restore(part);
      part.end();
      restored.add(watch);
    }
    for (const watch of this.#rules) if (!restored.has(watch)) watch.beginAfresh();
  }

  beginAfresh(): void {
    for (const watch of this.#rules) watch.beginAfresh();
  }
}
