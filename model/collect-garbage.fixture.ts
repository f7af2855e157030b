import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');

/** A full collection, so that what is measured after it is what is held, not what the collector has not come to yet. */
export const collectGarbage = runInNewContext('gc') as () => void;
