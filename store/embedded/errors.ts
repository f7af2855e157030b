import { EngineError } from './engine.ts';

/** Numbers and names of ClickHouse's errors that the interface itself throws. */
export const BAD_ARGUMENTS = 36;
export const NOT_IMPLEMENTED = 48;
export const SYNTAX_ERROR = 62;
export const READONLY = 164;
export const ABORTED = 236;
export const QUERY_PARAMETER_MISSING = 456;
export const AUTHENTICATION_FAILED = 516;

const NAMES = new Map([
  [BAD_ARGUMENTS, 'BAD_ARGUMENTS'],
  [NOT_IMPLEMENTED, 'NOT_IMPLEMENTED'],
  [SYNTAX_ERROR, 'SYNTAX_ERROR'],
  [READONLY, 'READONLY'],
  [ABORTED, 'ABORTED'],
  [QUERY_PARAMETER_MISSING, 'UNKNOWN_QUERY_PARAMETER'],
  [AUTHENTICATION_FAILED, 'AUTHENTICATION_FAILED'],
]);

/** An error in ClickHouse's words. */
export function refusal(code: number, message: string): EngineError {
  return new EngineError(code, `Code: ${code}. DB::Exception: ${message}. (${NAMES.get(code) ?? 'UNKNOWN'})`);
}

/** Status of the answer for an error's number, as ClickHouse's HTTP handler chooses it. */
export function statusOf(code: number): number {
  if (code === 194) return 401; // REQUIRED_PASSWORD
  if ([192, 193, 516, 497].includes(code)) return 403; // UNKNOWN_USER, WRONG_PASSWORD, AUTHENTICATION_FAILED, ACCESS_DENIED
  // What cannot be parsed, compared or converted.
  if ([6, 25, 26, 27, 36, 38, 41, 53, 62, 70, 72, 117, 167, 168, 427, 456].includes(code)) return 400;
  if ([46, 47, 50, 56, 57, 60, 63, 73, 81, 115].includes(code)) return 404; // UNKNOWN_…
  if (code === 159) return 408; // TIMEOUT_EXCEEDED
  if (code === 381) return 411; // HTTP_LENGTH_REQUIRED
  if (code === 229) return 413; // QUERY_IS_TOO_LARGE
  if (code === 48) return 501; // NOT_IMPLEMENTED
  if ([209, 210, 236, 76].includes(code)) return 503; // SOCKET_TIMEOUT, NETWORK_ERROR, ABORTED, CANNOT_OPEN_FILE
  return 500;
}
