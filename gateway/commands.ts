import type { ApiRequest } from './api.ts';
import { HttpProblem } from './problem.ts';

/** Who may change something over HTTP: those on this machine, everybody who gets through to the gateway, or nobody. */
export type CommandsFrom = 'loopback' | 'anyone' | 'nobody';

export interface CommandRequest extends ApiRequest {
  body: Buffer;
  /** The media type without its parameters; empty when the request names none. */
  type: string;
  ifMatch: string | null;
  ifNoneMatch: string | null;
  /** Who asks, as the proxy in front has found out; empty when there is none that says so. */
  by: string;
}

export interface CommandAnswer {
  status: number;
  body: unknown;
  headers?: Readonly<Record<string, string>>;
}

/** A route that changes something. */
export interface Command {
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  bodyBytesMax: number;
  handle(request: CommandRequest): Promise<CommandAnswer>;
}

/** What is known of a request before its body is read. */
export interface Caller {
  loopback: boolean;
  host: string;
  origin: string | undefined;
  fetchSite: string | undefined;
}

/**
 * Throws 403 when the caller may change nothing. A browser says where the page comes from that makes it ask: a foreign page must not
 * act with the rights of whoever looks at it.
 */
export function assertMayCommand(from: CommandsFrom, caller: Caller): void {
  if (from === 'nobody') {
    throw new HttpProblem(403, 'COMMANDS_OFF', 'nothing is changed over HTTP here', 'set gateway.commands');
  }
  if (from === 'loopback' && !caller.loopback) {
    const remedy = 'ask from there, or set gateway.commands to anyone behind a proxy that asks for a password';
    throw new HttpProblem(403, 'COMMANDS_REFUSED', 'changes are taken from this machine only', remedy);
  }
  const foreignSite = caller.fetchSite !== undefined && !['same-origin', 'none'].includes(caller.fetchSite);
  if (foreignSite || (caller.origin !== undefined && hostOf(caller.origin) !== caller.host)) {
    throw new HttpProblem(
      403,
      'ORIGIN_REFUSED',
      `a page of ${caller.origin ?? 'another site'} may change nothing here`,
    );
  }
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}

const fatalUtf8 = new TextDecoder('utf-8', { fatal: true });

/** The body as JSON. Throws 415 and 400. */
export function jsonBody({ type, body }: CommandRequest): unknown {
  if (!/^application\/(.*\+)?json$/.test(type)) {
    throw new HttpProblem(415, 'TYPE_REFUSED', `the body is ${type || 'of no type'}`, 'send application/json');
  }
  try {
    return JSON.parse(textBody(body));
  } catch (error) {
    if (error instanceof HttpProblem) throw error;
    throw new HttpProblem(400, 'INPUT_INVALID', `the body is not JSON: ${(error as Error).message}`);
  }
}

export function textBody(body: Buffer): string {
  try {
    return fatalUtf8.decode(body);
  } catch {
    throw new HttpProblem(400, 'INPUT_INVALID', 'the body is not UTF-8');
  }
}
