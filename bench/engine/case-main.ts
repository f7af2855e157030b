import { type EngineCase, runCase } from './case.ts';

/** Runs the case given as JSON and prints its figures as JSON: a process for each, so that none measures another's garbage. */
console.log(JSON.stringify(runCase(JSON.parse(process.argv[2]) as EngineCase)));
