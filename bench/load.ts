import type { PayloadName, Qos } from '../device-sim/blast-payload.ts';

/** What a run is put under. */
export interface Load {
  seconds: number;
  warmUpSeconds: number;
  rounds: number;
  connections: number;
  payload: PayloadName;
  qos: Qos;
  /** null: as fast as acknowledged. */
  ratePerSecond: number | null;
}
