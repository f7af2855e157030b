import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

// Runs main.ts as it stands: Node.js 20 takes no TypeScript, and what is here is no part of the build.
await runnerImport(fileURLToPath(new URL('./main.ts', import.meta.url)), { configFile: false, logLevel: 'error' });
