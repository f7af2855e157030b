import { aedes } from './peers/aedes.ts';
import { doorAlone } from './peers/door.ts';
import { mochi } from './peers/mochi.ts';
import { mosquitto, mosquittoSubscribed } from './peers/mosquitto.ts';
import type { Peer } from './peers/peer.ts';
import { telegraf } from './peers/telegraf.ts';

/** Measured in the same run, with the same generator: first the program's own door, then brokers, then chains into Kafka. */
export const PEERS: readonly Peer[] = [doorAlone('lmdb'), aedes, mosquitto, mosquittoSubscribed, telegraf, mochi];
