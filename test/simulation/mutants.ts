/**
 * Small mistakes, each of which the simulation must find: what it does not find, it does not test. A mistake is a change of the
 * compiled file: `from` has to stand there exactly once, so that a mistake that no longer applies is noticed.
 */
export interface Mutant {
  name: string;
  file: string;
  from: string;
  to: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'acknowledge before the append is durable',
    file: 'ingest/batcher.js',
    from: 'this.#log.append(TELEMETRY, state.index, frame.bytes).then(',
    to: '(this.#log.append(TELEMETRY, state.index, frame.bytes).catch(() => {}), Promise.resolve()).then(',
  },
  {
    name: 'acknowledge a frame that failed',
    file: 'ingest/batcher.js',
    from: 'frame.fail(error);',
    to: 'frame.succeed();',
  },
  {
    name: 'append on after a failure, so that later messages overtake',
    file: 'ingest/batcher.js',
    from: 'this.#settle(state, frame, error);\n        this.#failWaiting(state, error);',
    to: 'this.#settle(state, frame, error);',
  },
  {
    name: 'let a linger grow with a clock that was set back',
    file: 'ingest/batcher.js',
    from: 'Math.min(lingerMs, Math.max(0, lingerMs - waitedMs))',
    to: 'Math.max(0, lingerMs - waitedMs)',
  },
  {
    name: 'wait with ticks until a clock that was set back is where it was',
    file: 'ingest/batcher.js',
    from: 'sinceMs >= 0 && sinceMs < this.#options.tickMs',
    to: 'sinceMs < this.#options.tickMs',
  },
  {
    name: 'never be full',
    file: 'ingest/pressure.js',
    from: 'return this.bytes >= this.bytesMax;',
    to: 'return false;',
  },
  {
    name: 'take any number of frames under way',
    file: 'processors/room.js',
    from: 'this.bytes + bytes <= this.bytesMax',
    to: 'true',
  },
  {
    name: 'save the checkpoint before the rows are stored',
    file: 'processors/partition-run.js',
    from: 'while (this.storedNext < offsetNext) {',
    to: 'while (false) {',
  },
  {
    name: 'save the checkpoint one frame ahead',
    file: 'processors/partition-run.js',
    from: 'checkpoints.save(partition, { offsetNext, state',
    to: 'checkpoints.save(partition, { offsetNext: offsetNext + 1, state',
  },
  {
    name: 'do not ask what is stored',
    file: 'processors/partition-run.js',
    from: 'if (first > this.#resume.storedTo)',
    to: 'if (true)',
  },
  {
    name: 'do not ask again when the clock was set back',
    file: 'processors/partition-run.js',
    from: 'if (reachesBefore(frames, this.#resume.receivedFromMs)) {',
    to: 'if (false) {',
  },
  {
    name: 'call a batch done before its rows are stored',
    file: 'processors/batches.js',
    from: '!batch.told || !batch.stored',
    to: '!batch.told',
  },
  {
    name: 'call a batch done before its alarm events are on the log',
    file: 'processors/batches.js',
    from: '!batch.told || !batch.stored',
    to: '!batch.stored',
  },
  {
    name: 'wait for rows that were lost with their thread',
    file: 'processors/batches.js',
    from: 'const lost = this.#all.filter((batch) => !batch.taken);\n        this.#all = this.#all.filter((batch) => batch.taken);',
    to: 'const lost = this.#all.filter((batch) => !batch.decoded);\n        this.#all = this.#all.filter((batch) => batch.decoded);',
  },
  {
    name: 'take rows for stored that have not left the thread',
    file: 'processors/batches.js',
    from: '!batch.taken && batch.offsetNext <= offsetNext',
    to: '!batch.taken',
  },
  {
    name: 'recover while answered batches are still on their way',
    file: 'processors/partition-run.js',
    from: 'while (this.#batches.count > 0 && !this.#stopped) {',
    to: 'while (false) {',
  },
  {
    name: 'take a frame a second time after a recovery',
    file: 'processors/partition-run.js',
    from: 'frames.filter((frame) => frame.offset >= this.#fedNext)',
    to: 'frames.slice()',
  },
  {
    name: 'derive the token from the table alone',
    file: 'processors/inserter.js',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a program
    from: "${table}-${partition}-${offsetFirst}-${offsetNext}-${hash.digest('hex').slice(0, 32)}",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a program
    to: '${table}',
  },
  {
    name: 'let rows wait for a clock that was set back',
    file: 'processors/inserter.js',
    from: 'Math.min(intervalMs, this.#beganMs + intervalMs - clock.nowMs())',
    to: 'this.#beganMs + intervalMs - clock.nowMs()',
  },
  {
    name: 'append alarm events of a replay again',
    file: 'processors/alarm-outbox.js',
    from: 'this.#last = last;',
    to: 'this.#last = null;',
  },
  {
    name: 'append the last alarm event of a replay again',
    file: 'processors/alarm-outbox.js',
    from: 'this.#held.slice(at + 1)',
    to: 'this.#held.slice(at)',
  },
  {
    name: 'take the first event of a frame for the last',
    file: 'processors/resume.js',
    from: 'last = { offset, eventId: event.id };',
    to: 'last ??= { offset, eventId: event.id };',
  },
  {
    name: 'forget the times seen at a restore',
    file: 'processors/partition-state.js',
    from: 'state.seen.restore(',
    to: 'new state.seen.constructor().restore(',
  },
  {
    name: 'forget when a device was last heard at a restore',
    file: 'processors/windows/event-time.js',
    from: 'this.#rows[d * ROW + ACTIVE] = from.varint();',
    to: 'from.varint();',
  },
  {
    name: 'forget which windows are gone at a restore',
    file: 'processors/windows/tumbling.js',
    from: 'this.#goneEnd[d] = from.varint();',
    to: 'from.varint();',
  },
  {
    name: 'forget the revision of a window at a restore',
    file: 'processors/windows/tumbling.js',
    from: 'this.#rows[at + REVISION] = from.varint();',
    to: 'this.#rows[at + REVISION] = from.varint() * 0;',
  },
  {
    name: 'forget since when a condition holds at a restore',
    file: 'processors/alarms/conditions/levels.js',
    from: 'this.#since[first + rung] = since;',
    to: 'this.#since[first + rung] = 0;',
  },
  {
    name: 'save the rows of the ledger without what was counted',
    file: 'processors/partition-state.js',
    from: 'ledger.restore(',
    to: 'new ledger.constructor(0, 5000, series.devices).restore(',
  },
  {
    name: 'forget the newest values, of which metrics are derived, at a restore',
    file: 'processors/derived/derived.js',
    from: 'if (tsMs >= 0)\n                this.#keep(',
    to: 'if (false)\n                this.#keep(',
  },
  {
    name: 'carry a command out twice',
    file: 'processors/alarms/life.js',
    from: 'if (!this.#applied.isNew(operation.id))',
    to: 'if (false)',
  },
  {
    name: 'lose a retraction',
    file: 'processors/windows/session.js',
    from: 'this.#retracted.push(column[at + SERIES], column[at + START], column[at + REVISION] + 1);',
    to: '',
  },
  {
    name: 'lose a correction of what a partition has of a group',
    file: 'processors/groups/merge.js',
    from: 'entry.states[partition] = partial.state;',
    to: 'entry.states[partition] ??= partial.state;',
  },
  {
    name: 'forget what partitions have told of groups at a restore',
    file: 'processors/groups/merge.js',
    from: 'entry.states[partition] = from.bytes().slice();',
    to: 'from.bytes();',
  },
  {
    name: 'lose a fact that the log refused',
    file: 'ingest/operation-intake.js',
    from: 'due = [...left, ...due.slice(piece.length)];',
    to: 'due = due.slice(piece.length);',
  },
  {
    name: 'tell nobody of facts',
    file: 'processors/append-output.js',
    from: 'factFrames(output.facts)',
    to: 'factFrames([])',
  },
  {
    name: 'forget what was heard of other partitions at a restore',
    file: 'processors/alarms/shared-facts.js',
    from: 'if (names.has(subject.rule))\n                this.hear(',
    to: 'if (false)\n                this.hear(',
  },
];
