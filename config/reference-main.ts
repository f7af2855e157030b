import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { editorSchema, referenceMarkdown } from './reference.ts';

/** `npm run docs`: writes docs/configuration.md and docs/sluice.schema.json anew. */

const docs = new URL('../../docs/', import.meta.url);
writeFileSync(fileURLToPath(new URL('configuration.md', docs)), referenceMarkdown());
writeFileSync(fileURLToPath(new URL('sluice.schema.json', docs)), editorSchema());
console.log('wrote docs/configuration.md and docs/sluice.schema.json');
