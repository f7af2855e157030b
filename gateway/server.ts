import { existsSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from '../model/logger.ts';
import type { ApiRequest, Route } from './api.ts';
import { assertMayCommand, type Command, type CommandsFrom } from './commands.ts';
import { PROBLEM_TYPE, problem, toProblem } from './problem.ts';

/** The HTTP server: the only file that knows Fastify. It mounts routes, the page, headers, limits and error documents. */

const CONNECTIONS_MAX = 1_000;

/** Everything comes from here and nothing frames it; uPlot positions its parts through the CSSOM, which this allows. */
export const SECURITY_HEADERS: Record<string, string> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** A route whose answer is not 200 with JSON. */
export interface RawRoute {
  path: string;
  handle(request: ApiRequest): Promise<{ status: number; type: string; body: string }>;
}

/** A route that takes the response over. What it throws before that becomes a problem document. */
export interface StreamRoute {
  path: string;
  handle(request: ApiRequest): Promise<(response: ServerResponse, headers: Record<string, string>) => void>;
}

export interface ServerParts {
  routes: Route[];
  raw: RawRoute[];
  streams: StreamRoute[];
  commands: readonly Command[];
  commandsFrom: CommandsFrom;
  /** Header in which a proxy in front says who asks; null for none. */
  userHeader: string | null;
  pageDir: string;
  /** Bound to loopback: requests that name another host are refused, so that no foreign page can reach in by DNS rebinding. */
  loopback: boolean;
  logger: Logger;
}

export function buildServer(parts: ServerParts): FastifyInstance {
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    bodyLimit: 16 * 1024,
    connectionTimeout: 30_000,
    requestTimeout: 15_000,
    keepAliveTimeout: 15_000,
    routerOptions: { maxParamLength: 1024 },
    frameworkErrors: (error, _request, reply) => {
      reply.headers(SECURITY_HEADERS);
      refuse(reply, toProblem(error));
    },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (parts.loopback && !isLocalName(request.hostname)) {
      return refuse(
        reply,
        problem(
          403,
          'HOST_REFUSED',
          `bound to loopback, and the request names the host ${request.hostname}`,
          'use localhost, or bind http to another address',
        ),
      );
    }
    if (request.method === 'GET' || request.method === 'HEAD') return;
    if (request.is404) {
      reply.header('allow', 'GET, HEAD');
      return refuse(reply, problem(405, 'METHOD_NOT_ALLOWED', `${request.method} is not taken here`, 'use GET'));
    }
    assertMayCommand(parts.commandsFrom, {
      loopback: isLoopbackAddress(request.socket.remoteAddress ?? ''),
      host: request.headers.host ?? '',
      origin: request.headers.origin,
      fetchSite: request.headers['sec-fetch-site'] as string | undefined,
    });
  });
  // What a body is, the route decides.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, request, reply) => {
    const found = toProblem(error);
    if (found.status === 500) {
      const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
      parts.logger.error('a request failed', { url: request.url, error: message, stack });
    }
    if (found.status === 503) reply.header('retry-after', '2');
    return refuse(reply, found);
  });
  app.setNotFoundHandler((request, reply) =>
    refuse(reply, problem(404, 'NOT_FOUND', `nothing is at ${request.url.split('?')[0]}`)),
  );
  mount(app, parts);
  return app;
}

function mount(app: FastifyInstance, parts: ServerParts): void {
  for (const route of parts.routes) {
    app.get(route.path, async (request, reply) => {
      reply.header('cache-control', 'no-store');
      return route.handle({ path: request.params as ApiRequest['path'], query: request.query as ApiRequest['query'] });
    });
  }
  for (const command of parts.commands) {
    const { method, path, bodyBytesMax } = command;
    app.route({
      method,
      url: path,
      bodyLimit: bodyBytesMax,
      handler: async (request, reply) => {
        const answer = await command.handle(commandRequest(request, parts.userHeader));
        return reply
          .code(answer.status)
          .header('cache-control', 'no-store')
          .headers(answer.headers ?? {})
          .send(answer.body);
      },
    });
  }
  for (const route of parts.raw) {
    app.get(route.path, async (request, reply) => {
      const answer = await route.handle({ path: {}, query: request.query as ApiRequest['query'] });
      return reply.code(answer.status).header('cache-control', 'no-store').type(answer.type).send(answer.body);
    });
  }
  for (const route of parts.streams) {
    app.get(route.path, { exposeHeadRoute: false }, async (request, reply) => {
      const take = await route.handle({ path: {}, query: request.query as ApiRequest['query'] });
      reply.hijack();
      take(reply.raw, SECURITY_HEADERS);
    });
  }
  mountPage(app, parts);
}

function commandRequest(request: FastifyRequest, userHeader: string | null) {
  const header = (name: string): string | null => {
    const value = request.headers[name];
    return typeof value === 'string' ? value : null;
  };
  return {
    path: request.params as ApiRequest['path'],
    query: request.query as ApiRequest['query'],
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
    type: (header('content-type') ?? '').split(';')[0].trim().toLowerCase(),
    ifMatch: header('if-match'),
    ifNoneMatch: header('if-none-match'),
    by: userHeader === null ? '' : (header(userHeader.toLowerCase()) ?? '').slice(0, 256),
  };
}

/** Also as an IPv4 address looks on a socket of both families. */
function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

function mountPage(app: FastifyInstance, parts: ServerParts): void {
  if (!existsSync(join(parts.pageDir, 'index.html'))) {
    parts.logger.warn('the page has not been built; only the API is served', { pageDir: parts.pageDir });
    app.get('/', (_request, reply) =>
      refuse(reply, problem(404, 'PAGE_MISSING', 'the page has not been built', 'run npm run build')),
    );
    return;
  }
  app.register(fastifyStatic, {
    root: parts.pageDir,
    cacheControl: false,
    // Files below assets/ carry a hash of their content in their name.
    setHeaders: (response, path) => {
      const hashed = /[\\/]assets[\\/]/.test(path);
      response.setHeader('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
}

function refuse(reply: FastifyReply, found: ReturnType<typeof problem>): FastifyReply {
  return reply.code(found.status).header('cache-control', 'no-store').type(PROBLEM_TYPE).send(JSON.stringify(found));
}

/** An address cannot be rebound, and `localhost` means this machine. */
function isLocalName(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '');
  return name === '' || name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0;
}
