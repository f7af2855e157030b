import { inlineTheWayOfAReading } from '../../processors/inlining.ts';
import { type EngineCase, runCase } from './case.ts';

/** Runs the case given as JSON and prints its figures as JSON: a process for each, so that none measures another's garbage. */
inlineTheWayOfAReading();
console.log(JSON.stringify(runCase(JSON.parse(process.argv[2]) as EngineCase)));
