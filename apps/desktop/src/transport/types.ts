/** One event of a stream or of the subscription. */
export interface CoreEvent {
  type: string;
  [field: string]: unknown;
}

/** What an error says beside its words. */
export interface ErrorDetails {
  /** The database it is about. */
  database?: string | undefined;
  /** How long to wait before another attempt, in milliseconds. */
  retryAfterMs?: number | undefined;
}

/** What the core answers when a call fails. */
export class CoreError extends Error {
  readonly code: number;
  /** A stable word for failures that the interface treats specially, such as `wrong_password`. */
  readonly reason: string | undefined;
  readonly details: ErrorDetails;

  constructor(code: number, message: string, reason?: string, details: ErrorDetails = {}) {
    super(message);
    this.name = 'CoreError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/**
 * The only way from the window to the core.
 *
 * The window never talks to the network and never imports a desktop API outside an implementation of this
 * interface, so the same components run in the desktop window, in a browser and in tests.
 */
export interface Transport {
  /** Which door this transport uses. */
  readonly kind: 'tauri' | 'mock';

  /** Calls one method. Rejects with a {@link CoreError}. */
  call<T>(method: string, params?: Record<string, unknown>): Promise<T>;

  /**
   * Starts a stream and hands over its events in order. Resolves after the last event was handed over; rejects
   * with a {@link CoreError} when the stream could not be started.
   */
  stream(
    method: string,
    params: Record<string, unknown>,
    onEvent: (event: CoreEvent) => void,
  ): Promise<void>;

  /** Hands over the core's events until the returned function is called. */
  subscribe(onEvent: (event: CoreEvent) => void): Promise<() => void>;
}

/** Turns whatever was thrown into a {@link CoreError}. */
export function toCoreError(thrown: unknown): CoreError {
  if (thrown instanceof CoreError) return thrown;
  if (typeof thrown === 'object' && thrown !== null) {
    const { code, message, data } = thrown as Record<string, unknown>;
    if (typeof message === 'string') {
      return new CoreError(typeof code === 'number' ? code : -32603, message, kindOf(data), detailsOf(data));
    }
  }
  return new CoreError(-32603, typeof thrown === 'string' ? thrown : 'The core gave no reason.');
}

function kindOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { kind } = data as Record<string, unknown>;
  return typeof kind === 'string' ? kind : undefined;
}

function detailsOf(data: unknown): ErrorDetails {
  if (typeof data !== 'object' || data === null) return {};
  const { database, retry_after_ms: wait } = data as Record<string, unknown>;
  return {
    database: typeof database === 'string' ? database : undefined,
    retryAfterMs: typeof wait === 'number' ? wait : undefined,
  };
}
