import { randomUUID } from 'node:crypto';
import type { Clock } from '../model/clock.ts';
import type { AlarmAction, AlarmOperation, MaintenanceOperation } from '../model/operation.ts';
import type { AlarmDirectory } from './alarm-directory.ts';
import { type Command, type CommandAnswer, type CommandRequest, jsonBody } from './commands.ts';
import type { OperationWriter } from './operations.ts';
import { HttpProblem } from './problem.ts';

/** What operators do to alarms over HTTP: each becomes an operation on the log, and is answered when it is durable there. */

export interface AlarmCommandParts {
  directory: AlarmDirectory;
  writer: OperationWriter;
  clock: Clock;
}

const BODY_BYTES_MAX = 64 * 1024;
const BULK_MAX = 1_000;
const TEXT_MAX = 2_000;
const NAME_MAX = 100;
const SHELVE_MS_MAX = 366 * 86_400_000;

/** By the last part of the path. */
const OF_ALARM: Readonly<Record<string, AlarmAction>> = {
  acknowledge: 'acknowledge',
  ack: 'acknowledge',
  comment: 'comment',
  shelve: 'shelve',
  unshelve: 'unshelve',
  reset: 'reset',
  'out-of-service': 'out-of-service',
  'in-service': 'in-service',
};
const OF_RULE = ['shelve', 'unshelve', 'out-of-service', 'in-service'] as const;

export function alarmCommands({ directory, writer, clock }: AlarmCommandParts): Command[] {
  const target = async (id: string) => {
    const alarm = await directory.find(id);
    if (alarm === null) throw new HttpProblem(404, 'ALARM_UNKNOWN', `there is no alarm ${id}`, 'check the id');
    if (alarm.groupId === alarm.id) {
      throw new HttpProblem(
        409,
        'ALARM_IS_GROUP',
        'this alarm stands for a group',
        'name its members: group=ID lists them',
      );
    }
    if (alarm.life === 'normal') {
      throw new HttpProblem(409, 'ALARM_OVER', `alarm ${id} is over`, 'its history can still be read');
    }
    return alarm;
  };
  const post = (path: string, handle: (request: CommandRequest) => Promise<CommandAnswer>): Command => ({
    method: 'POST',
    path,
    bodyBytesMax: BODY_BYTES_MAX,
    handle,
  });
  const nowMs = () => clock.nowMs();

  const ofAlarm = Object.entries(OF_ALARM).map(([word, action]) =>
    post(`/api/alarms/:id/${word}`, async (request) => {
      const body = bodyOf(request);
      const { id: alarm, device, rule } = await target(request.path.id);
      const operation = { ...operationOf(body, request.by, nowMs(), action), device, rule, alarm };
      await writer.append([operation]);
      return accepted([operation]);
    }),
  );
  const ofMany = (['acknowledge', 'comment', 'shelve', 'unshelve', 'reset'] as const).map((action) =>
    post(`/api/alarms/${action}`, async (request) => {
      const body = bodyOf(request);
      const ids = idsOf(body);
      const asked = operationOf(body, request.by, nowMs(), action);
      const operations: AlarmOperation[] = [];
      for (const [n, alarm] of ids.entries()) {
        const { device, rule } = await target(alarm);
        operations.push({ ...asked, id: `${asked.id}-${n}`, device, rule, alarm });
      }
      await writer.append(operations);
      return accepted(operations);
    }),
  );
  const ofRule = OF_RULE.map((action) =>
    post(`/api/rules/:rule/devices/:device/${action}`, async (request) => {
      const { rule, device } = request.path;
      const operation = { ...operationOf(bodyOf(request), request.by, nowMs(), action), device, rule, alarm: null };
      await writer.append([operation]);
      return accepted([operation]);
    }),
  );
  const maintenance: Command = {
    method: 'PUT',
    path: '/api/maintenance/:name',
    bodyBytesMax: BODY_BYTES_MAX,
    handle: async (request) => {
      const operation = maintenanceOf(request.path.name, bodyOf(request), request.by, nowMs(), false);
      await writer.append([operation]);
      return accepted([operation]);
    },
  };
  const noMaintenance: Command = {
    method: 'DELETE',
    path: '/api/maintenance/:name',
    bodyBytesMax: BODY_BYTES_MAX,
    handle: async (request) => {
      const body = request.body.length === 0 ? new Map([['by', 'unnamed']]) : bodyOf(request);
      const operation = maintenanceOf(request.path.name, body, request.by, nowMs(), true);
      await writer.append([operation]);
      return accepted([operation]);
    },
  };
  return [...ofMany, ...ofAlarm, ...ofRule, maintenance, noMaintenance];
}

/** 202: it is durable, and takes effect when the processor of its partition comes to it. */
function accepted(operations: readonly { id: string }[]): CommandAnswer {
  return { status: 202, body: { operations: operations.map(({ id }) => id) } };
}

type Body = ReadonlyMap<string, unknown>;

function bad(detail: string, remedy: string): never {
  throw new HttpProblem(400, 'INPUT_INVALID', detail, remedy);
}

function bodyOf(request: CommandRequest): Body {
  const value = jsonBody(request);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    bad('the body is no object', 'send {"by": …}');
  return new Map(Object.entries(value));
}

function text(body: Body, name: string, charactersMax: number): string {
  const value = body.get(name) ?? '';
  if (typeof value !== 'string' || value.length > charactersMax) {
    bad(`${name} is not text of at most ${charactersMax} characters`, `send "${name}" as text`);
  }
  return value.trim();
}

/** Who asks: as the proxy says, otherwise as he says himself. */
function byOf(body: Body, proxied: string): string {
  const by = proxied !== '' ? proxied : text(body, 'by', NAME_MAX);
  return by === '' ? bad('nobody is named', 'send "by" with your name') : by;
}

function idsOf(body: Body): string[] {
  const ids = body.get('ids');
  const good = Array.isArray(ids) && ids.length > 0 && ids.every((id) => typeof id === 'string' && id !== '');
  if (!good || ids.length > BULK_MAX) bad(`ids is not a list of 1 to ${BULK_MAX} alarm ids`, 'send {"ids": ["…"]}');
  return [...new Set(ids as string[])];
}

/** `untilMs`, or `forMs` from now on. */
function untilOf(body: Body, nowMs: number): number {
  const until = body.get('untilMs') ?? Number.NaN;
  const forMs = body.get('forMs') ?? Number.NaN;
  const untilMs = body.has('untilMs') ? until : typeof forMs === 'number' ? nowMs + forMs : Number.NaN;
  if (
    typeof untilMs === 'number' &&
    Number.isSafeInteger(untilMs) &&
    untilMs > nowMs &&
    untilMs <= nowMs + SHELVE_MS_MAX
  ) {
    return untilMs;
  }
  return bad('it has no end within the next 366 days', 'send "untilMs" (epoch ms) or "forMs", whole numbers');
}

function operationOf(body: Body, proxied: string, nowMs: number, action: AlarmAction): AlarmOperation {
  const comment = text(body, 'comment', TEXT_MAX);
  if (action === 'comment' && comment === '') bad('the comment is empty', 'send "comment" with what you have to say');
  return {
    kind: 'alarm',
    id: text(body, 'operation', NAME_MAX) || randomUUID(),
    atMs: nowMs,
    by: byOf(body, proxied),
    action,
    device: null,
    rule: null,
    alarm: null,
    text: comment,
    untilMs: action === 'shelve' ? untilOf(body, nowMs) : null,
  };
}

function maintenanceOf(
  window: string,
  body: Body,
  proxied: string,
  nowMs: number,
  removed: boolean,
): MaintenanceOperation {
  const list = (name: string): string[] => {
    const value = body.get(name) ?? [];
    const good = Array.isArray(value) && value.length <= BULK_MAX && value.every((one) => typeof one === 'string');
    return good ? (value as string[]) : bad(`${name} is not a list of texts`, `send "${name}": ["…"]`);
  };
  const from = body.get('fromMs') ?? nowMs;
  if (typeof from !== 'number' || !Number.isSafeInteger(from) || from < 0) bad('fromMs is no time', 'send epoch ms');
  return {
    kind: 'maintenance',
    id: text(body, 'operation', NAME_MAX) || randomUUID(),
    atMs: nowMs,
    by: byOf(body, proxied),
    window,
    removed,
    fromMs: from,
    untilMs: removed ? from : untilOf(body, nowMs),
    sites: list('sites'),
    devices: list('devices'),
    rules: list('rules'),
    text: text(body, 'comment', TEXT_MAX),
  };
}
