/**
 * What a test says when a program that it needs is missing: the end of its title, so that the skip is seen with its reason. In CI
 * (CI=true) a missing program is an error, since its tests would fall silent there.
 */
export function leftOutWithout(tool: string, found: boolean): string {
  if (found) return '';
  if (process.env.CI === 'true') throw new Error(`${tool} is not installed; .ci/install should have done it`);
  return ` (left out: ${tool} is not installed)`;
}
