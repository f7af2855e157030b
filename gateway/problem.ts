import { SluiceError } from '../model/errors.ts';

/** An error as a JSON document (RFC 9457, media type application/problem+json). `remedy` says what to change. */
export interface Problem {
  type: 'about:blank';
  title: string;
  status: number;
  code: string;
  detail: string;
  remedy: string;
}

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

const TITLES: Record<number, string> = {
  400: 'The request cannot be understood',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'It cannot be changed',
  412: 'It is not as it was',
  413: 'Too large',
  415: 'Not a type of body that is taken here',
  422: 'Parts of it are wrong',
  414: 'The address is too long',
  429: 'Too many requests',
  500: 'The gateway failed',
  503: 'Not available now',
  504: 'The store took too long',
};

export function problem(status: number, code: string, detail: string, remedy = ''): Problem {
  return { type: 'about:blank', title: TITLES[status] ?? 'Error', status, code, detail, remedy };
}

/** The problem document for anything that a request threw. What is not one of our errors tells nothing of the inside. */
export function toProblem(error: unknown): Problem {
  if (error instanceof HttpProblem) return error.problem;
  if (error instanceof SluiceError) return problem(statusOf(error), error.code, error.message, error.remedy);
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return problem(status, 'REQUEST_REFUSED', (error as Error).message);
  }
  return problem(500, 'INTERNAL', 'an unexpected error; the log of the gateway has the details');
}

/** An answer other than 200, thrown where it is decided. */
export class HttpProblem extends Error {
  readonly problem: Problem;
  constructor(status: number, code: string, detail: string, remedy = '') {
    super(detail);
    this.problem = problem(status, code, detail, remedy);
  }
}

function statusOf(error: SluiceError): number {
  if (error.code === 'INPUT_INVALID') return 400;
  if (error.code === 'ACCESS_DENIED') return 403;
  return error.retryable ? 503 : 500;
}
