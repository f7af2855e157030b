import { spawnStore } from './embedded/spawned.ts';
import { describeStore } from './store.contract.ts';

describeStore('embedded', async () => {
  const spawned = await spawnStore();
  return { options: { url: spawned.url, ...spawned.credentials }, close: () => spawned.remove() };
});

// The same against a server, where one is: SLUICE_TEST_CLICKHOUSE_URL=http://user:password@host:8123
const server = process.env.SLUICE_TEST_CLICKHOUSE_URL;
if (server !== undefined) {
  describeStore('server', async () => {
    const url = new URL(server);
    const { username, password } = url;
    url.username = '';
    url.password = '';
    const options = { url: url.href, username: username || 'default', password, database: 'sluice_test' };
    return { options, close: async () => {} };
  });
}
