/** Types of the globals in `*.test.js`. Each test runs against a fresh copy of the skill, with its own time and network. */

/** Registers a test. */
declare const test: {
  (name: string, run: () => any): void;
  /** Runs this one and no other. */
  only(name: string, run: () => any): void;
  skip(name: string, run?: () => any): void;
};

interface Matchers {
  /** The same value, by `Object.is`. */
  toBe(expected: any): void;
  /** The same content. */
  toEqual(expected: any): void;
  /** At least this content. */
  toMatchObject(part: any): void;
  /** An item of a list, or a part of a text. */
  toContain(part: any): void;
  toMatch(pattern: RegExp | string): void;
  /** A function or promise that fails, with a message that contains or matches this. */
  toThrow(message?: string | RegExp | Function): any;
}
declare function expect(actual: any): Matchers & { not: Matchers };

/** Milliseconds, or a text such as `"90s"` or `"1h 30m"`. */
type Duration = number | string;

interface SimRequest {
  method: string;
  url: string;
  /** Names in lower case. Secrets appear as `{{secret:NAME}}`. */
  headers: Record<string, string>;
  body: string | null;
}
/** A text is a body, a number a status. */
type SimReply =
  | string
  | number
  | {
      /** Default 200. */
      status?: number;
      headers?: Record<string, string>;
      body?: string;
      /** A body that is sent as JSON. */
      json?: any;
      /** Simulated time until it comes. */
      delay?: Duration;
      /** Instead of an answer: why the connection fails. */
      error?: string;
    };

/** The simulated skill. It starts with the first call, event or step of time. */
declare const sim: {
  start(): void;
  stop(): void;
  /** Stops and starts it; its database and state stay. */
  restart(): void;
  /** Calls a tool. A result that is JSON comes parsed; a failed call throws. Time passes by itself while it waits. */
  call(tool: string, args?: Record<string, any>): any;
  /** As `call`, with the result as the text it is. */
  callText(tool: string, args?: Record<string, any>): string;
  /** Delivers an event of the backend and waits for the handler, as far as it gets without time passing. */
  event(name: string, data?: any): void;
  /** Calls any hook; `null` when the skill has none of this name. */
  hook(name: string, ...args: any[]): any;
  /** Calls `onCronTrigger(id)`. */
  cron(id: string): any;
  rpc(method: string, params?: any): any;
  /** Walks through the set-up with the values of each step; returns the last result. */
  setup(values: Record<string, any>[]): any;
  readonly net: {
    /**
     * Prepares the answer to `"GET https://api.example.com/items/*"`. Several answers are given one after the other,
     * the last one stays. The newest route that fits answers. A request without a route fails the test.
     */
    on(route: string, ...replies: (SimReply | SimReply[] | ((request: SimRequest) => SimReply))[]): void;
  };
  readonly clock: {
    /** Milliseconds since the epoch. A test starts on 2026-01-01 at 09:00 UTC. */
    now(): number;
    readonly iso: string;
    /** Lets time pass; timers and schedules fire on the way. */
    advance(by: Duration): void;
  };
  readonly secrets: {
    /** Sets a secret and the one host it may go to. */
    set(handle: string, host: string, value: string): void;
  };
  /** The state the skill has published. */
  readonly state: Record<string, any>;
  readonly logs: { level: string; message: string }[];
  readonly notifications: { title: string; body: string }[];
  readonly requests: SimRequest[];
  readonly tools: { name: string; description: string; inputSchema: any }[];
  /** Expressions by id. */
  readonly schedules: Record<string, string>;
  readonly status: string;
};
