import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, formatAddress } from '../config/address.ts';
import type { Findings } from '../gateway/reasons.ts';
import type { Clock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';

/** How a role does, asked when somebody wants to know. */
export interface Observed {
  findings(): Findings | Promise<Findings>;
  /** Reasons why it cannot take work now; absent when `findings().down` tells. */
  notReady?(): Promise<string[]>;
  metrics(): { contentType: string; text(): Promise<string> };
}

export interface HealthListenerOptions {
  role: string;
  address: Address;
  clock: Clock;
  logger: Logger;
}

export interface HealthListener {
  /** With the port that was taken. */
  readonly url: string;
  /** The role runs: from here on it is asked. */
  observe(observed: Observed): void;
  /** The role takes no more work. */
  draining(): void;
  close(): Promise<void>;
}

/** An opening that takes longer is told as a reason: something that it needs is not there. */
const OPENING_MS = 30_000;
const CONNECTIONS_MAX = 64;

interface Answer {
  status: number;
  type: string;
  body: string;
}

/**
 * Serves a role's own /health, /ready and /metrics.
 *
 *     opening ──observe──▶ running ──draining──▶ draining ──close──▶ closed
 *
 * /health is for who restarts what is ill: 503 only when the role is down, not while it is opening or draining, since a restart
 * would then make it worse. /ready is for who sends work: 200 only while the role runs and is not down. Rejects with LISTEN_FAILED.
 */
export async function openHealthListener(options: HealthListenerOptions): Promise<HealthListener> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 });
  server.maxConnections = CONNECTIONS_MAX;
  const state = new RoleHealth(options);
  server.on('request', (request, response) => void serve(state, options.logger, request, response));
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const url = `http://${formatAddress({ ...options.address, port })}`;
  options.logger.debug('answers for its health', { url });
  return {
    url,
    observe: (observed) => state.observe(observed),
    draining: () => state.drain(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class RoleHealth {
  readonly #options: HealthListenerOptions;
  readonly #openedMs: number;
  #phase: 'opening' | 'running' | 'draining' = 'opening';
  #observed: Observed | null = null;
  #metrics: ReturnType<Observed['metrics']> | null = null;

  constructor(options: HealthListenerOptions) {
    this.#options = options;
    this.#openedMs = options.clock.nowMs();
  }

  observe(observed: Observed): void {
    this.#observed = observed;
    this.#metrics = observed.metrics();
    this.#phase = 'running';
  }

  drain(): void {
    this.#phase = 'draining';
  }

  async answer(path: string): Promise<Answer> {
    if (path === '/health') return this.#health();
    if (path === '/ready') return this.#ready();
    if (path !== '/metrics') return json(404, { error: `nothing is at ${path}: /health, /ready and /metrics are` });
    if (this.#metrics === null) return { status: 503, type: 'text/plain; charset=utf-8', body: '# opening\n' };
    return { status: 200, type: this.#metrics.contentType, body: await this.#metrics.text() };
  }

  async #health(): Promise<Answer> {
    const { role } = this.#options;
    if (this.#phase !== 'running' || this.#observed === null) {
      return json(200, { role, state: this.#phase, reasons: this.#phaseReasons() });
    }
    const { down, degraded } = await this.#observed.findings();
    const state = down.length > 0 ? 'down' : degraded.length > 0 ? 'degraded' : 'ok';
    return json(down.length > 0 ? 503 : 200, { role, state, reasons: [...down, ...degraded] });
  }

  async #ready(): Promise<Answer> {
    const reasons = this.#phaseReasons();
    if (this.#phase === 'running' && this.#observed !== null) {
      reasons.push(
        ...(this.#observed.notReady ? await this.#observed.notReady() : (await this.#observed.findings()).down),
      );
    }
    return json(reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
  }

  #phaseReasons(): string[] {
    if (this.#phase === 'running') return [];
    if (this.#phase === 'draining') return ['is draining: it takes no more work'];
    const forMs = this.#options.clock.nowMs() - this.#openedMs;
    const since = `has been opening for ${Math.round(forMs / 1000)} s`;
    return [forMs < OPENING_MS ? since : `${since}: see its log for what it waits for (the log, the store)`];
  }
}

async function serve(
  state: RoleHealth,
  logger: Logger,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  let answer: Answer;
  try {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const path = (request.url ?? '/').split('?')[0];
    answer = isRead ? await state.answer(path) : json(405, { error: 'GET and HEAD are taken' });
  } catch (error) {
    logger.error('the health of the role could not be told', { error });
    answer = json(500, { error: 'the health of the role could not be told; see its log' });
  }
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

function json(status: number, body: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(body)}\n` };
}

function listen(server: Server, { role, address }: HealthListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const where = formatAddress(address);
      reject(
        new SluiceError('LISTEN_FAILED', `the ${role} cannot answer for its health on ${where}: ${cause.code}`, {
          cause,
          remedy: `choose another address in health.${role}, or stop what listens there`,
        }),
      );
    });
    server.listen(address.port, address.host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}
