import { assignPartitions } from './kafka-assign.ts';
import {
  errorType,
  type GroupMemberInfo,
  type KafkaBroker,
  type KafkaConnection,
  MemberAssignment,
  MemberMetadata,
  passes,
  pause,
  unavailable,
} from './kafka-client.ts';

const PROTOCOL = 'sluice-even';
const SESSION_MS = 10_000;
const HEARTBEAT_MS = 1000;
/** How long the others wait for a member that has yet to give its partitions back. */
const REBALANCE_MS = 60_000;

export interface GroupOptions {
  group: string;
  topic: string;
  partitions: number;
  /** The partitions of this generation. Not waited for: assignment may take long, and heartbeats go on meanwhile. */
  onAssigned: (partitions: number[]) => void;
  /** Everything is taken away. The next generation is joined when this has resolved. */
  onRevoked: () => Promise<void>;
  onError: (error: Error) => void;
  onWarning: (message: string, values: Record<string, unknown>) => void;
}

/**
 * Membership in a consumer group by Kafka's own protocol (JoinGroup, SyncGroup, Heartbeat, eager rebalance):
 *
 *     join ──▶ sync ──▶ assigned ──heartbeats──▶ rebalance begins ──▶ onRevoked ──▶ join …
 *                          │                              (heartbeats go on while it is awaited)
 *                          └── unknown member, fenced: the partitions are gone already; onRevoked, join as a new member
 *
 * A member that does not give its heartbeat for SESSION_MS is put out by the group. One that takes longer than REBALANCE_MS to give
 * its partitions back is put out as well, and the others go on without it; its later commits are refused, so what it does
 * then has no effect on the group.
 */
export class GroupMember {
  readonly #connection: KafkaConnection;
  readonly #options: GroupOptions;
  readonly #abort = new AbortController();
  #memberId = '';
  #generation = -1;
  #owned: number[] = [];
  #running: Promise<void> | null = null;

  constructor(connection: KafkaConnection, options: GroupOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Records an offset. Without effect for a partition of an earlier generation. */
  async commit(partition: number, offsetNext: number): Promise<void> {
    const { group, topic } = this.#options;
    for (let tries = 1; ; tries++) {
      if (!this.#owned.includes(partition)) return;
      try {
        const coordinator = await this.#connection.coordinator(group);
        await coordinator.offsetCommit({
          groupId: group,
          groupGenerationId: this.#generation,
          memberId: this.#memberId,
          topics: [{ topic, partitions: [{ partition, offset: String(offsetNext), metadata: '' }] }],
        });
        return;
      } catch (error) {
        if (isFenced(error) || errorType(error) === 'REBALANCE_IN_PROGRESS') return;
        if (!passes(error) || tries >= 10) throw unavailable(`commit of group ${group}`, error);
        await pause(Math.min(1000, 50 * 2 ** tries));
        await this.#connection.recover(error);
      }
    }
  }

  /** Gives everything back and leaves the group at once, so that the others need not wait for the session to end. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
    await this.#revoke();
    if (this.#memberId === '') return;
    try {
      const coordinator = await this.#connection.coordinator(this.#options.group);
      await coordinator.leaveGroup({ groupId: this.#options.group, memberId: this.#memberId });
    } catch {
      // The group notices when the session ends.
    }
  }

  async #run(): Promise<void> {
    const { group, onError, onWarning } = this.#options;
    let failures = 0;
    while (!this.#abort.signal.aborted) {
      try {
        const coordinator = await this.#connection.coordinator(group);
        await this.#join(coordinator);
        failures = 0;
        await this.#stay();
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (isFenced(error)) this.#memberId = '';
        else if (errorType(error) !== 'REBALANCE_IN_PROGRESS') {
          if (!passes(error)) {
            await this.#revoke();
            return onError(unavailable(`membership in group ${group}`, error));
          }
          if (++failures === 5) onWarning('Kafka does not answer; it is tried again', { group, error: String(error) });
          await pause(Math.min(1000, 20 * 2 ** failures), this.#abort.signal);
          await this.#connection.recover(error);
        }
        await this.#revoke();
      }
    }
  }

  async #join(coordinator: KafkaBroker): Promise<void> {
    const { group, topic, partitions, onAssigned } = this.#options;
    // What this member had until now tells the leader what it had better keep.
    const userData = Buffer.from(JSON.stringify(this.#owned.length > 0 ? this.#owned : this.#lastOwned));
    const joined = await coordinator.joinGroup({
      groupId: group,
      sessionTimeout: SESSION_MS,
      rebalanceTimeout: REBALANCE_MS,
      memberId: this.#memberId,
      groupProtocols: [{ name: PROTOCOL, metadata: MemberMetadata.encode({ version: 1, topics: [topic], userData }) }],
    });
    this.#memberId = joined.memberId;
    this.#generation = joined.generationId;
    const isLeader = joined.leaderId === joined.memberId;
    const { memberAssignment } = await coordinator.syncGroup({
      groupId: group,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: isLeader ? assignmentOf(joined.members, topic, partitions) : [],
    });
    if (this.#abort.signal.aborted) return;
    this.#owned = MemberAssignment.decode(memberAssignment)?.assignment[topic] ?? [];
    this.#lastOwned = this.#owned;
    onAssigned(this.#owned);
  }

  #lastOwned: number[] = [];

  /** Keeps the membership alive until a rebalance or a failure ends this generation. */
  async #stay(): Promise<void> {
    let failures = 0;
    while (!this.#abort.signal.aborted) {
      await pause(HEARTBEAT_MS, this.#abort.signal);
      if (this.#abort.signal.aborted) return;
      try {
        await this.#beat();
        failures = 0;
      } catch (error) {
        if (errorType(error) === 'REBALANCE_IN_PROGRESS') return this.#giveBack();
        // A coordinator that moved or restarted: the membership may still be good there.
        if (isFenced(error) || !passes(error) || ++failures * HEARTBEAT_MS > SESSION_MS) throw error;
        await this.#connection.recover(error);
      }
    }
  }

  async #beat(): Promise<void> {
    const coordinator = await this.#connection.coordinator(this.#options.group);
    await coordinator.heartbeat({
      groupId: this.#options.group,
      groupGenerationId: this.#generation,
      memberId: this.#memberId,
    });
  }

  /** While what is revoked is being finished, heartbeats go on: a member that falls silent would be put out. */
  async #giveBack(): Promise<void> {
    const done = new AbortController();
    const revoked = this.#revoke().finally(() => done.abort());
    while (!done.signal.aborted) {
      await pause(HEARTBEAT_MS, done.signal);
      if (!done.signal.aborted) await this.#beat().catch(() => undefined);
    }
    await revoked;
  }

  async #revoke(): Promise<void> {
    if (this.#owned.length === 0) return;
    // Commits are still taken while the handlers finish: the old generation counts until the member joins the next.
    await this.#options.onRevoked();
    this.#owned = [];
  }
}

function assignmentOf(
  members: readonly GroupMemberInfo[],
  topic: string,
  partitions: number,
): { memberId: string; memberAssignment: Buffer }[] {
  const shares = assignPartitions(
    members.map((m) => ({ id: m.memberId, owned: ownedOf(m.memberMetadata) })),
    partitions,
  );
  return [...shares].map(([memberId, share]) => ({
    memberId,
    memberAssignment: MemberAssignment.encode({
      version: 1,
      assignment: { [topic]: share },
      userData: Buffer.alloc(0),
    }),
  }));
}

function ownedOf(metadata: Buffer): number[] {
  try {
    const owned: unknown = JSON.parse(String(MemberMetadata.decode(metadata)?.userData ?? '[]'));
    return Array.isArray(owned) ? owned.filter((p): p is number => Number.isInteger(p) && p >= 0) : [];
  } catch {
    return [];
  }
}

/** The group does not know this member (any more), or not in this generation. */
function isFenced(error: unknown): boolean {
  return ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID', 'MEMBER_ID_REQUIRED'].includes(
    errorType(error),
  );
}
