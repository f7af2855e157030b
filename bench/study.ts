import type { Machine } from './machine.ts';
import { measureProfile, type ProfileResult, profileSection } from './studies/profile.ts';

/** One question that takes a run of its own. Its result is kept as docs/performance/NAME.json, and published from there. */
export interface Study {
  name: string;
  about: string;
  /** Measures; `folder` is on the disk to be measured. Plots are SVG by file name. */
  run(folder: string): Promise<{ result: unknown; plots?: Map<string, string> }>;
  /** The section of docs/performance.md between the markers of its name. */
  section(result: never): string;
}

export interface StudyFile {
  version: 1;
  at: string;
  machine: Machine;
  result: unknown;
}

export const STUDIES: readonly Study[] = [
  {
    name: 'profile',
    about: 'where the time goes in each process, by stage',
    run: measureProfile,
    section: (result: ProfileResult) => profileSection(result),
  },
];
