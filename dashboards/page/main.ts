import { Alarms } from './alarms.ts';
import { ApiError, api, type Overview } from './api.ts';
import { Balance } from './balance.ts';
import { Devices } from './devices.ts';
import { h, notice, setText } from './dom.ts';
import { firstSteps } from './empty.ts';
import { Explorer } from './explorer.ts';
import { Flow, SPARK_SECONDS } from './flow.ts';
import { age } from './format.ts';
import { readHash, type View, writeHash } from './hash.ts';
import { Header } from './header.ts';
import { Live } from './live.ts';
import { Quarantine, Roles } from './side.ts';
import { onTheme, startTheme } from './theme.ts';
import './styles/page.css';

/** Puts the parts together: the address says what is shown, the event stream keeps it up to date. */

startTheme();

/** What to add to this machine's clock to get the program's. */
let skewMs = 0;
const nowMs = () => Date.now() + skewMs;
let overview: Overview | null = null;
let lostMs: number | null = null;
let chosenByItself = '';

const header = new Header();
const flow = new Flow();
const alarms = new Alarms({
  nowMs,
  onCount: showTitle,
  onChoose: (device, metric) => show({ ...view(), device, metrics: [metric] }),
});
const quarantine = new Quarantine(nowMs);
const balance = new Balance();
const roles = new Roles();
const explorer = new Explorer({ nowMs, onView: show, onWatch: (device, metrics) => live.watch(device, metrics) });
const devices = new Devices({
  nowMs,
  onChoose: (device) => show({ ...view(), device, metrics: [] }),
  onListed: (listed) => {
    if (explorer.device !== '' || listed.length === 0) return;
    // Nothing has been chosen: the first device is better than an empty place, but it is no choice to be remembered.
    chosenByItself = listed[0].device;
    void open();
  },
});
const foot = h('p', { class: 'versions' });

document
  .getElementById('page')!
  .append(
    header.root,
    h(
      'main',
      {},
      flow.root,
      h(
        'div',
        { class: 'columns' },
        devices.root,
        explorer.root,
        h('div', { class: 'side' }, alarms.root, quarantine.root, balance.root, roles.root),
      ),
    ),
    h('footer', { class: 'page-foot' }, foot),
  );

const live = new Live({
  onStats: take,
  onAlarm: (alarm) => alarms.apply(alarm),
  onWatching: (device) => explorer.onWatching(device),
  onReadings: (device, readings) => explorer.onReadings(device, readings),
  onConnection: (lost) => {
    const back = lost === null && lostMs !== null;
    lostMs = lost;
    showBanner();
    if (back) void readAll();
  },
});

addEventListener('hashchange', () => void open());
onTheme(() => explorer.redraw());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void readAll();
});
live.watch('', []);
void readAll();
void open();

function view(): View {
  const asked = readHash(location.hash);
  return asked.device === '' ? { ...asked, device: chosenByItself } : asked;
}

function show(next: View): void {
  location.hash = writeHash(next);
}

async function open(): Promise<void> {
  const next = view();
  devices.chosen = next.device;
  await explorer.open(next);
}

async function readAll(): Promise<void> {
  try {
    take(await api.overview(SPARK_SECONDS));
  } catch (error) {
    if (overview === null) {
      const { message, remedy } = error instanceof ApiError ? error : new ApiError(0, String(error), '');
      setBanner('down', `${message} ${remedy}`);
    }
  }
  await Promise.all([devices.refresh(), alarms.load(), balance.load()]);
}

function take(next: Overview): void {
  skewMs = next.atMs - Date.now();
  const devicesBefore = overview?.counts?.devices ?? null;
  overview = next;
  header.show(next);
  flow.show(next);
  quarantine.show(next);
  roles.show(next);
  devices.total = next.counts?.devices ?? null;
  if (devicesBefore !== null && next.counts !== null && next.counts.devices !== devicesBefore) void devices.refresh();
  if (explorer.device === '' && next.counts?.devices === 0) explorer.showInstead(firstSteps(next.info.mqtt));
  if (
    explorer.device === '' &&
    next.counts === null &&
    next.roles.some((r) => r.role === 'store' && r.state === 'down')
  ) {
    explorer.showInstead(
      notice(
        'error',
        'Devices and their history cannot be read',
        h('p', {}, 'The store does not answer. The page fills itself when it does again.'),
      ),
    );
  }
  explorer.tick();
  const { info } = next;
  const versions = Object.entries(info.versions).map(([name, version]) => `${name} ${version}`);
  setText(
    foot,
    [`Sluice ${info.version}`, ...versions, `MQTT ${info.mqtt}`, `ClickHouse HTTP ${info.clickhouse}`].join('  ·  '),
  );
  showBanner();
}

function showBanner(): void {
  header.connected = lostMs === null;
  document.body.classList.toggle('stale', lostMs !== null);
  if (lostMs !== null) {
    setBanner(
      'down',
      `Connection to Sluice lost ${age(Date.now() - lostMs).replace('now', 'just')} ago. What you see is from before; connecting again …`,
    );
    return;
  }
  const down = overview?.roles.filter((r) => r.state === 'down') ?? [];
  if (down.length === 0) setBanner(null, '');
  else
    setBanner(
      'down',
      down.map((r) => `${r.role}: ${r.reasons.join(', ')}.`).join(' ') + consequence(down.map((r) => r.role)),
    );
}

/** What it means for the reader that a role is away. */
function consequence(down: string[]): string {
  if (down.includes('door')) return ' Devices cannot connect at the moment.';
  if (down.includes('store')) return ' History cannot be read. Acknowledged messages are safe on the log.';
  return ' Acknowledged messages are safe on the log and will be processed.';
}

function setBanner(state: 'down' | null, text: string): void {
  header.say(state === null ? '' : text);
}

function showTitle(open: number): void {
  document.title = open === 0 ? 'Sluice' : `(${open}) Sluice`;
}
