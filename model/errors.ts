/**
 * The one error class of Sluice. An error says what happened, with which values, and what to change; `code` is stable and
 * may be matched on, the message is for people. "Full", "late" and "duplicate" are ordinary answers, not errors.
 */
export class SluiceError extends Error {
  readonly code: ErrorCode;
  /** The values involved, for structured logs. Never holds a secret. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Whether doing the same again later can succeed. */
  readonly retryable: boolean;
  /** What the reader can change, as a sentence. */
  readonly remedy: string;

  constructor(
    code: ErrorCode,
    message: string,
    options: { remedy?: string; values?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.values = options.values ?? {};
    this.retryable = CODES[code].retryable;
    this.remedy = options.remedy ?? CODES[code].remedy;
  }

  /** One line for a terminal: code, message, remedy. */
  toLine(): string {
    return `${this.code}: ${this.message}${this.remedy === '' ? '' : ` — ${this.remedy}`}`;
  }
}

/** Every code, whether a retry can help, and the remedy that holds unless the thrower knows a better one. */
const CODES = {
  CONFIG_INVALID: { retryable: false, remedy: 'correct the setting named above' },
  FRAME_MALFORMED: { retryable: false, remedy: 'the bytes are not a frame; see ARCHITECTURE.md, "Frames"' },
  FRAME_TOO_LARGE: { retryable: false, remedy: 'raise log.frameBytesMax, or send smaller messages' },
  LOG_CLOSED: { retryable: false, remedy: '' },
  LOG_FULL: {
    retryable: true,
    remedy:
      'see whether processors are behind, since what is not processed is kept; shorten log.retention, or raise log.mapBytesMax',
  },
  LOG_LOCKED: { retryable: false, remedy: 'stop the other process, or give this one a data directory of its own' },
  LOG_NOT_WRITER: { retryable: false, remedy: 'only the role that owns a topic may append to it' },
  LOG_OFFSET_GONE: { retryable: false, remedy: 'read from the first offset that is still held' },
  LOG_TOPIC_UNKNOWN: { retryable: false, remedy: '' },
  LOG_UNAVAILABLE: { retryable: true, remedy: 'check that the log is reachable' },
  LOG_LAYOUT: { retryable: false, remedy: 'start with the partition count that the data was written with' },
  STORE_UNAVAILABLE: { retryable: true, remedy: 'check that ClickHouse is reachable' },
  STORE_REFUSED: { retryable: false, remedy: 'see the message of ClickHouse' },
  LISTEN_FAILED: { retryable: false, remedy: 'choose another address, or stop what listens there' },
  CHECKPOINT_UNREADABLE: { retryable: false, remedy: 'the partition is replayed from the start of its log' },
  CHECKPOINT_APART: { retryable: true, remedy: 'the next checkpoint is saved whole' },
  WORKER_DIED: { retryable: true, remedy: '' },
  ACCESS_DENIED: { retryable: false, remedy: 'see the access section of the configuration' },
  BROKER_UNAVAILABLE: { retryable: true, remedy: 'check that an MQTT broker listens there' },
  INPUT_INVALID: { retryable: false, remedy: 'correct the input' },
} as const satisfies Record<string, { retryable: boolean; remedy: string }>;

export type ErrorCode = keyof typeof CODES;
