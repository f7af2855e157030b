import { expect, it } from 'vitest';
import { ClientRates } from './client-rates.ts';
import { doorLimits } from './limits.ts';

it('a client gets no new allowance by connecting again, and others have their own', () => {
  const { perClient } = doorLimits({ perClient: { perSecondMessagesMax: 2 } });
  const rates = new ClientRates(perClient);
  for (let i = 0; i < 2; i++) rates.of('d1', 0)!.take(100);
  expect(rates.of('d1', 0)!.waitMs(0)).toBeGreaterThan(0);
  expect(rates.of('d2', 0)!.waitMs(0)).toBe(0);
  // Debts are remembered however many clients come by.
  for (let i = 0; i < 5000; i++) rates.of(`passing ${i}`, 0);
  expect(rates.of('d1', 0)!.waitMs(0)).toBeGreaterThan(0);
  expect(rates.of('d1', 1000)!.waitMs(1000)).toBe(0);
});

it('there is no rate to keep without a limit', () => {
  expect(new ClientRates(doorLimits().perClient).of('d1', 0)).toBeNull();
});
