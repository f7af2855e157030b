/**
 * Lets the messages of one client through the broker one after another, in the order in which they came: the broker handles
 * all packets of a chunk at once, so that one with less to wait for would be acknowledged, retained and handed out first
 * [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-6]. What each has to wait for before that, such as the log, they wait for
 * together.
 */
export class PublishTurns {
  readonly #turns: { go: (() => void) | null }[] = [];

  /** Takes the next turn; the result is to be called once, with what is to be done when it has come. */
  take(): (go: () => void) => void {
    const turn: { go: (() => void) | null } = { go: null };
    this.#turns.push(turn);
    return (go) => {
      turn.go = go;
      if (this.#turns[0] === turn) this.#run(turn);
    };
  }

  /** The message whose turn it is has been dealt with. */
  pass(): void {
    this.#turns.shift();
    const next = this.#turns[0];
    // What acknowledges this one is written before the next one begins.
    if (next !== undefined) queueMicrotask(() => this.#turns[0] === next && this.#run(next));
  }

  #run(turn: { go: (() => void) | null }): void {
    const { go } = turn;
    turn.go = null;
    go?.();
  }
}
