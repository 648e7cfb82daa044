import { CoreError, type CoreEvent, type Transport, toCoreError } from './types';

/** Answers one method. */
export type CallHandler = (params: Record<string, unknown>) => unknown;

/** Plays one stream: emits events, then returns. */
export type StreamHandler = (
  params: Record<string, unknown>,
  emit: (event: CoreEvent) => void,
) => Promise<void> | void;

/** A transport that answers from functions: for tests and for the preview of the screens. */
export class MockTransport implements Transport {
  readonly kind = 'mock';
  /** Every call and stream so far, in order. */
  readonly log: { method: string; params: Record<string, unknown> }[] = [];
  readonly #calls: Record<string, CallHandler>;
  readonly #streams: Record<string, StreamHandler>;
  readonly #listeners = new Set<(event: CoreEvent) => void>();

  constructor(handlers: { calls?: Record<string, CallHandler>; streams?: Record<string, StreamHandler> } = {}) {
    this.#calls = handlers.calls ?? {};
    this.#streams = handlers.streams ?? {};
  }

  async call<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
    this.log.push({ method, params });
    const handler = this.#calls[method];
    if (!handler) throw new CoreError(-32601, `There is no method ${method}.`);
    try {
      return (await handler(params)) as T;
    } catch (thrown) {
      throw toCoreError(thrown);
    }
  }

  async stream(
    method: string,
    params: Record<string, unknown>,
    onEvent: (event: CoreEvent) => void,
  ): Promise<void> {
    this.log.push({ method, params });
    const handler = this.#streams[method];
    if (!handler) throw new CoreError(-32601, `There is no method ${method}.`);
    try {
      await handler(params, onEvent);
    } catch (thrown) {
      throw toCoreError(thrown);
    }
  }

  subscribe(onEvent: (event: CoreEvent) => void): Promise<() => void> {
    this.#listeners.add(onEvent);
    return Promise.resolve(() => {
      this.#listeners.delete(onEvent);
    });
  }

  /** Sends an event to every subscriber. */
  push(event: CoreEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
