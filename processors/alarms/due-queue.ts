/**
 * Timers of (device, rule), a binary heap in the order of due time, device, rule: so what is due together comes in an order that
 * does not depend on how the heap was filled (after a restart it is filled anew). An entry that was overtaken stays until its
 * time comes; whoever takes it compares it with what the timer is set to.
 */
export class DueQueue {
  #heap: Due[] = [];

  /** When the first is due; Infinity when there is none. */
  get nextMs(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0].dueMs;
  }

  push(due: Due): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(due, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = due;
  }

  pop(): Due {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop() as Due;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

export interface Due {
  dueMs: number;
  device: number;
  rule: number;
}

function before(a: Due, b: Due): boolean {
  return a.dueMs !== b.dueMs ? a.dueMs < b.dueMs : a.device !== b.device ? a.device < b.device : a.rule < b.rule;
}
