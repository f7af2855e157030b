import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**'],
    globalSetup: ['test/build.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // For machines that are slow or busy with something else. No test asserts speed; these only end what hangs.
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
