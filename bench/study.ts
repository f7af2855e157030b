import type { Machine } from './machine.ts';
import { type DivisionResult, divisionSection, measureDivision } from './studies/division.ts';
import { type GrowthResult, growthSection, measureGrowth } from './studies/growth.ts';
import { measureProfile, type ProfileResult, profileSection } from './studies/profile.ts';
import { measureScenarios, type ScenarioResult, scenarioSection } from './studies/scenario.ts';
import { measureSteady, type SteadyResult, steadySection } from './studies/steady.ts';

/** One question that takes a run of its own. Its result is kept as docs/performance/NAME.json, and published from there. */
export interface Study {
  name: string;
  about: string;
  /**
   * Measures; `folder` is on the disk to be measured. `seconds` is the length of a round where the study has one, its own when absent.
   * Plots are SVG by file name.
   */
  run(folder: string, seconds?: number): Promise<{ result: unknown; plots?: Map<string, string> }>;
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
  {
    name: 'steady',
    about: 'more than a minute at full speed: rates, parts and memory over time',
    run: measureSteady,
    section: (result: SteadyResult) => steadySection(result),
  },
  {
    name: 'growth',
    about: 'cost by devices, metrics, partitions, windows and rules',
    run: measureGrowth,
    section: (result: GrowthResult) => growthSection(result),
  },
  {
    name: 'division',
    about: 'one and two doors and processors, pinned to cores',
    run: measureDivision,
    section: (result: DivisionResult) => divisionSection(result),
  },
  {
    name: 'scenario',
    about: 'bytes on disk of what simulated fleets measure',
    run: measureScenarios,
    section: (result: ScenarioResult) => scenarioSection(result),
  },
];
