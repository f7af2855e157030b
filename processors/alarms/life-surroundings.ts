import type { AlarmEvent, Position } from '../../model/alarm.ts';
import type { Maintenance } from '../../model/alarm-life.ts';
import type { SharedFacts } from './shared-facts.ts';
import type { Turn } from './turn.ts';

/** What the life of alarms asks of the partition. */
export interface LifeSurroundings {
  /** The partition's clock: the largest time received so far. */
  clockMs(): number;
  /** The site of a device, '' where it is not known. */
  siteOf(device: number): string;
  maintenance: readonly Maintenance[];
  shared: SharedFacts;
}

export type Emit = (event: AlarmEvent) => void;

/** Where, when and by whom a transition came about. */
export interface Cause {
  atMs: number;
  position: Position;
  by?: string;
  comment?: string;
  turn?: Turn;
}
