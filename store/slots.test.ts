import { describe, expect, it } from 'vitest';
import { Lease, Slots } from './slots.ts';

const settled = async (promise: Promise<unknown>) => {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return done;
};

describe('slots', () => {
  it('let so many in, the others in the order they came', async () => {
    const slots = new Slots(2);
    await slots.take();
    await slots.take();
    const order: string[] = [];
    const third = slots.take().then(() => order.push('third'));
    const fourth = slots.take().then(() => order.push('fourth'));
    expect(await settled(third)).toBe(false);
    slots.give();
    slots.give();
    await Promise.all([third, fourth]);
    expect(order).toEqual(['third', 'fourth']);
  });

  it('drain when nobody is in, waiters included', async () => {
    const slots = new Slots(1);
    await slots.drain();
    await slots.take();
    const waiter = slots.take();
    const drained = slots.drain();
    slots.give();
    await waiter;
    expect(await settled(drained)).toBe(false);
    slots.give();
    await drained;
  });

  it('forget a waiter that was aborted', async () => {
    const slots = new Slots(1);
    await slots.take();
    const abort = new AbortController();
    const left = slots.take(abort.signal);
    abort.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    slots.give();
    await slots.take();
  });

  it('are not given back twice by a lease', async () => {
    const slots = new Slots(1);
    const lease = new Lease(slots);
    await lease.take();
    lease.give();
    lease.give();
    await slots.take();
    expect(await settled(slots.take())).toBe(false);
  });
});
