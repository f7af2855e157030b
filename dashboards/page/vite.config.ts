import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** The page is one directory of static files that the gateway serves; nothing in it is fetched from elsewhere. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  build: {
    outDir: fileURLToPath(new URL('../../dist/dashboards/page', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
