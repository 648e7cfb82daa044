/**
 * Types for authors of OpenHuman skills: the manifest, the skill object, and every global a skill finds.
 *
 * A skill runs confined: there is no file system, no process, no Node and no DOM. What is not declared here does not
 * exist. Bridges marked with a permission throw until the manifest asks for it and the user allows it.
 */

// --- The skill -------------------------------------------------------------------------------------------------------

/** A value that survives JSON. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type MaybePromise<T> = T | Promise<T>;

/** What a script sets as `globalThis.__skill = { default: skill }`, or exports by default from an ES module. */
interface Skill {
  tools?: Tool[];
  /** Runs once after the script was loaded, within 10 s. A failure ends the start. */
  init?(): MaybePromise<void>;
  /** Runs after `init`, and again with `validate` when the user has entered new credentials. Within 30 s. */
  start?(options: StartOptions): MaybePromise<StartResult | void>;
  /** Runs before the skill is stopped, within 5 s. */
  stop?(): MaybePromise<void>;
  /** A schedule of `cron.register` is due. */
  onCronTrigger?(scheduleId: string): MaybePromise<void>;
  /** An event of the backend. Needs `permissions.events`. */
  onServerEvent?(event: string, data: any): MaybePromise<void>;
  /** A hook of `hooks.register` fired. */
  onHookTriggered?(trigger: HookTrigger): MaybePromise<HookResult | void>;
  /** A request to a tunnel of `webhook.register`. Within 25 s. Needs `permissions.webhooks`. */
  onWebhookRequest?(request: WebhookRequest): MaybePromise<WebhookResponse | void>;
  /** The first step of the set-up. */
  onSetupStart?(args: {}): MaybePromise<{ step: SetupStep }>;
  onSetupSubmit?(args: { stepId: string; values: Record<string, any> }): MaybePromise<SetupResult>;
  onSetupCancel?(args: {}): MaybePromise<void>;
  onListOptions?(args: {}): MaybePromise<{ options: SkillOption[] }>;
  onSetOption?(args: { name: string; value: any }): MaybePromise<void>;
  onSessionStart?(args: { sessionId: string }): MaybePromise<void>;
  onSessionEnd?(args: { sessionId: string }): MaybePromise<void>;
  onTick?(args: {}): MaybePromise<void>;
  /** The user asked for a fresh copy of what the skill keeps. */
  onSync?(args: {}): MaybePromise<any>;
  /** Whether the account still works; every 60 s while connected. */
  onPing?(): MaybePromise<PingResult | null | void>;
  onLoad?(params: Record<string, any>): MaybePromise<void>;
  onRpc?(call: { method: string; params: any }): MaybePromise<any>;
  onError?(error: SkillErrorReport): MaybePromise<void>;
  onOAuthComplete?(credential: OAuthCredential): MaybePromise<{ nextStep?: SetupStep } | void>;
  onOAuthRevoked?(args: { credentialId?: string; integrationId?: string; reason: string }): MaybePromise<void>;
  onAuthComplete?(args: AuthCredential): MaybePromise<StartResult | void>;
  onAuthRevoked?(args: { mode?: string; integrationId?: string }): MaybePromise<void>;
  onDisconnect?(): MaybePromise<void>;
  publishState?(): MaybePromise<void>;
  [other: string]: any;
}

/** Something a model can call. */
interface Tool {
  /** 1 to 64 letters, digits, `_` or `-`, starting with a letter. */
  name: string;
  /** A model chooses by this text: what it does, and when to use it. */
  description: string;
  /** A JSON Schema of type `object`. Without one the tool takes no arguments. */
  inputSchema?: ObjectSchema;
  /** The older spelling of `inputSchema`. */
  input_schema?: ObjectSchema;
  /** Returns a text, or a value that becomes JSON. An exception is a failed call. */
  execute(args: any): any;
}

interface ObjectSchema {
  type: 'object';
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  description?: string;
  [keyword: string]: any;
}

interface JsonSchema {
  type?: SchemaType | SchemaType[];
  description?: string;
  enum?: Json[];
  default?: Json;
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  [keyword: string]: any;
}
type SchemaType = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';

interface StartOptions {
  oauth: OAuthCredential | null;
  auth: AuthCredential | null;
  /** Whether new credentials are to be tried out. */
  validate?: boolean;
}
type StartResult =
  | { status: 'complete'; message?: string }
  | { status: 'error'; errors?: SetupError[]; message?: string };

interface SetupStep {
  id: string;
  title: string;
  description?: string;
  fields: SetupField[];
}
interface SetupField {
  name: string;
  type: 'text' | 'number' | 'password' | 'select' | 'multiselect' | 'boolean' | 'textarea';
  label: string;
  description?: string;
  required?: boolean;
  default?: any;
  placeholder?: string;
  options?: { label: string; value: string }[];
}
interface SetupError {
  field: string;
  message: string;
}
interface SetupResult {
  status: 'next' | 'complete' | 'error';
  nextStep?: SetupStep;
  errors?: SetupError[];
  message?: string;
}
interface SkillOption {
  name: string;
  type: 'boolean' | 'text' | 'number' | 'select';
  label: string;
  description?: string;
  value: any;
  options?: { label: string; value: string }[];
}
interface PingResult {
  ok: boolean;
  /** `auth` stops the skill. */
  errorType?: 'network' | 'auth';
  errorMessage?: string;
}
interface SkillErrorReport {
  type: 'network' | 'auth' | 'runtime' | 'timeout' | 'unknown';
  message: string;
  source?: string;
  recoverable?: boolean;
}

// --- The manifest ----------------------------------------------------------------------------------------------------

/** `manifest.json`. */
interface SkillManifest {
  /** Lower case letters, digits and `-`. */
  id: string;
  name: string;
  version?: string;
  description?: string;
  /** The script. Default `index.js`; `.mjs`, or `"type": "module"`, makes it an ES module. */
  entry?: string;
  type?: 'module' | 'script';
  runtime?: 'quickjs' | 'javascript' | 'v8';
  /** 1 to 256; default 64. */
  memory_limit_mb?: number;
  auto_start?: boolean;
  /** Empty or absent: all. */
  platforms?: ('windows' | 'macos' | 'linux')[];
  setup?: {
    required?: boolean;
    label?: string;
    auth?: { modes: AuthModeManifest[] };
  };
  /** What the skill asks the user for. Everything else is denied. */
  permissions?: SkillPermissions;
  compat?: { db_text_as_json?: boolean };
}
interface AuthModeManifest {
  type: 'managed' | 'self_hosted' | 'text';
  label?: string;
  description?: string;
  provider?: string;
  scopes?: string[];
  apiBaseUrl?: string;
  fields?: SetupField[];
  textDescription?: string;
  textPlaceholder?: string;
}
interface SkillPermissions {
  /** Hosts, by name or as `*.example.com`; https on port 443 unless said otherwise. */
  net?: { host: string; methods?: string[]; ports?: number[]; http?: boolean; secret?: string }[];
  websocket?: { host: string; ports?: number[] }[];
  /** Names for `platform.env`. */
  env?: string[];
  /** Tools of other skills, as `skill.tool`. */
  tools?: string[];
  /** Events for `onServerEvent`. */
  events?: string[];
  notify?: boolean;
  model?: boolean;
  webhooks?: boolean;
  memory?: { insert?: boolean; recall?: boolean };
  db?: { max_mb?: number };
  data?: { max_mb?: number };
}

// --- Bridges ---------------------------------------------------------------------------------------------------------

/** HTTP, synchronous: the call is suspended, nothing else waits. Needs `permissions.net`. */
declare const net: {
  /** Throws when the host is not allowed or cannot be reached. `{{secret:NAME}}` in the url, headers or body becomes the secret's value on its way out. */
  fetch(url: string, options?: NetOptions): NetResponse;
};
interface NetOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Seconds; default 30. */
  timeout?: number;
  timeoutMs?: number;
  redirect?: 'follow' | 'manual' | 'error';
}
interface NetResponse {
  status: number;
  statusText: string;
  ok: boolean;
  url: string;
  /** Names in lower case; repeated headers joined, `set-cookie` as an array. */
  headers: Record<string, any>;
  body: string;
}

/** The skill's own SQLite database, synchronous. */
declare const db: {
  /** Runs a statement and returns the number of rows it changed. */
  exec(sql: string, params?: DbParam[]): number;
  get(sql: string, params?: DbParam[]): Record<string, any> | null;
  /** At most 10,000 rows. */
  all(sql: string, params?: DbParam[]): Record<string, any>[];
  kvGet(key: string): any;
  kvSet(key: string, value: any): void;
};
type DbParam = null | undefined | boolean | number | bigint | string | Uint8Array | Json;

/** Values that are kept and shown to the user's front end. */
declare const state: {
  /** `null` when absent. */
  get(key: string): any;
  set(key: string, value: any): void;
  setPartial(values: Record<string, any>): void;
  delete(key: string): void;
  keys(): string[];
};
/** The older name of `state`. */
declare const store: typeof state;

/** Small files of the skill. */
declare const data: {
  /** `null` when there is no such file. */
  read(name: string): string | null;
  write(name: string, content: string): void;
};

/** Schedules that survive a restart; they call `onCronTrigger(id)`. */
declare const cron: {
  /** Six fields with seconds, such as `0 *\/15 * * * *`. Replaces a schedule of the same id. Throws on a bad expression. */
  register(id: string, expression: string, options?: CronOptions): boolean;
  unregister(id: string): boolean;
  list(): string[];
};
interface CronOptions {
  /** An IANA zone; default UTC. */
  timezone?: string;
  [other: string]: any;
}

declare const platform: {
  os(): 'windows' | 'macos' | 'linux' | 'unknown';
  /** `""` when absent. Needs `permissions.env`. */
  env(name: string): string;
  /** Needs `permissions.notify`. */
  notify(title: string, body?: string): void;
};
/** The older name of `platform`. */
declare const tauri: typeof platform;

/** A managed OAuth connection of the user. */
declare const oauth: {
  getCredential(): OAuthCredential | null;
  /** A request with the credential, to a path below `apiBaseUrl`. */
  fetch(path: string, options?: NetOptions & { baseUrl?: string }): NetResponse;
  revoke(): boolean;
};
interface OAuthCredential {
  credentialId: string;
  provider: string;
  scopes: string[];
  isValid: boolean;
  createdAt: number;
  accountLabel?: string;
  [other: string]: any;
}

/** The credentials a user entered. Secret fields are handles such as `{{secret:token}}`. */
declare const auth: {
  getMode(): 'managed' | 'self_hosted' | 'text' | null;
  getCredentials(): Record<string, any> | null;
  getCredential(): AuthCredential | null;
  fetch(url: string, options?: NetOptions): NetResponse;
};
interface AuthCredential {
  mode: 'managed' | 'self_hosted' | 'text';
  credentials: Record<string, any>;
}

/** The user's long-term memory. Needs `permissions.memory`. */
declare const memory: {
  insert(document: MemoryDocument): boolean;
};
interface MemoryDocument {
  title: string;
  content: string;
  sourceType?: 'doc' | 'chat' | 'email';
  metadata?: Record<string, any>;
  priority?: 'high' | 'medium' | 'low';
  createdAt?: number;
  updatedAt?: number;
  documentId?: string;
}

/** The user's language model. Needs `permissions.model`. */
declare const model: {
  generate(prompt: string, options?: { maxTokens?: number; temperature?: number }): Promise<string>;
  summarize(text: string, options?: { maxTokens?: number }): Promise<string>;
};

/** Other skills. */
declare const skills: {
  list(): { id: string; name: string; version?: string; status?: string }[];
  /** Needs `permissions.tools`. */
  callTool(skillId: string, tool: string, args?: Record<string, any>): any;
};

/** Requests from outside. Needs `permissions.webhooks`. */
declare const webhook: {
  register(tunnelUuid: string, name?: string, backendTunnelId?: string): any;
  unregister(tunnelUuid: string): any;
  list(): any[];
  createTunnel(name: string, description?: string): any;
  listTunnels(): any[];
  deleteTunnel(id: string): any;
};
interface WebhookRequest {
  correlationId: string;
  method: string;
  path: string;
  headers: Record<string, any>;
  query: Record<string, string>;
  /** Base64. */
  body: string;
  tunnelId: string;
  tunnelName: string;
}
interface WebhookResponse {
  statusCode?: number;
  headers?: Record<string, string>;
  body?: string;
}

/** Reactions to events of several sources. */
declare const hooks: {
  register(definition: HookDefinition): boolean;
  unregister(id: string): boolean;
  update(id: string, changes: Partial<HookDefinition>): boolean;
  setEnabled(id: string, enabled: boolean): boolean;
  list(): HookDefinition[];
  emit(event: HookEvent): number;
  getAccumulationState(id: string): any;
};
interface HookEvent {
  type: string;
  source?: string;
  timestamp?: number;
  entities?: Record<string, { type: string; id: string; properties?: Record<string, any> }>;
  data?: any;
}
interface HookDefinition {
  id: string;
  description?: string;
  filter: Record<string, any>;
  accumulate?: { count?: number; window_ms?: number; group_by?: string; min_count?: number; reset_on_fire?: boolean };
  enabled?: boolean;
  max_fires?: number;
  priority?: number;
}
interface HookTrigger {
  hookId: string;
  event: HookEvent;
  events: HookEvent[];
  eventCount: number;
  groupKey?: string;
  firstEventAt: number;
  triggeredAt: number;
}
interface HookResult {
  actions?: { type: string; payload: any }[];
  suppress?: boolean;
}

// --- Language and web ------------------------------------------------------------------------------------------------

/** The id of this skill. */
declare const __skillId: string;
declare var __skill: { default: Skill } | undefined;
declare var tools: Tool[] | undefined;
declare const window: typeof globalThis;
declare const self: typeof globalThis;
declare const global: typeof globalThis;

interface SkillConsole {
  log(...values: any[]): void;
  info(...values: any[]): void;
  warn(...values: any[]): void;
  error(...values: any[]): void;
  debug(...values: any[]): void;
  trace(...values: any[]): void;
}
/** At most 64 KB a second. */
declare const console: SkillConsole;
/** The older name of `console`. */
declare const log: SkillConsole;

declare function setTimeout(callback: (...args: any[]) => any, ms?: number, ...args: any[]): number;
declare function setInterval(callback: (...args: any[]) => any, ms?: number, ...args: any[]): number;
declare function clearTimeout(id: number | undefined): void;
declare function clearInterval(id: number | undefined): void;
/** Logs an error nobody caught. */
declare function reportError(error: any): void;
declare function queueMicrotask(callback: () => void): void;
/** Suspends this call for so many milliseconds; other skills go on. */
declare function sleep(ms: number): void;
declare function structuredClone<T>(value: T, options?: { transfer?: any[] }): T;
declare function atob(base64: string): string;
declare function btoa(latin1: string): string;
/** The web's `fetch`. Needs `permissions.net`. */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

declare const performance: { now(): number; readonly timeOrigin: number };

declare const crypto: {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
  readonly subtle: SubtleCrypto;
};
/** `digest`, HMAC and AES-GCM. */
interface SubtleCrypto {
  digest(algorithm: string | { name: string }, data: BufferSource): Promise<ArrayBuffer>;
  importKey(format: string, key: any, algorithm: any, extractable: boolean, usages: string[]): Promise<CryptoKey>;
  exportKey(format: string, key: CryptoKey): Promise<any>;
  generateKey(algorithm: any, extractable: boolean, usages: string[]): Promise<any>;
  sign(algorithm: any, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  verify(algorithm: any, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
  encrypt(algorithm: any, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  decrypt(algorithm: any, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
}
declare class CryptoKey {
  private constructor();
  readonly type: string;
  readonly extractable: boolean;
  readonly algorithm: any;
  readonly usages: string[];
}
type BufferSource = ArrayBuffer | ArrayBufferView;

declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly code: number;
}

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string, base?: string): boolean;
  static parse(url: string, base?: string): URL | null;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  readonly searchParams: URLSearchParams;
  hash: string;
  toString(): string;
  toJSON(): string;
}
declare class URLSearchParams {
  constructor(init?: string | Record<string, string> | Iterable<[string, string]> | URLSearchParams);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(visit: (value: string, name: string, params: URLSearchParams) => void): void;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[string, string]>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}

declare class TextEncoder {
  readonly encoding: 'utf-8';
  encode(input?: string): Uint8Array;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: BufferSource, options?: { stream?: boolean }): string;
}

interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}
declare class Event {
  constructor(type: string, init?: EventInit);
  readonly type: string;
  readonly target: EventTarget | null;
  readonly currentTarget: EventTarget | null;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly defaultPrevented: boolean;
  readonly timeStamp: number;
  preventDefault(): void;
  stopPropagation(): void;
  stopImmediatePropagation(): void;
}
declare class CustomEvent<T = any> extends Event {
  constructor(type: string, init?: EventInit & { detail?: T });
  readonly detail: T;
}
declare class MessageEvent extends Event {
  constructor(type: string, init?: EventInit & { data?: any });
  readonly data: any;
}
declare class CloseEvent extends Event {
  constructor(type: string, init?: EventInit & { code?: number; reason?: string; wasClean?: boolean });
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}
declare class ErrorEvent extends Event {
  constructor(type: string, init?: EventInit & { message?: string; error?: any });
  readonly message: string;
  readonly error: any;
}
type Listener = ((event: any) => void) | { handleEvent(event: any): void };
declare class EventTarget {
  addEventListener(type: string, listener: Listener | null, options?: boolean | { once?: boolean; signal?: AbortSignal; capture?: boolean }): void;
  removeEventListener(type: string, listener: Listener | null, options?: boolean | { capture?: boolean }): void;
  dispatchEvent(event: Event): boolean;
}
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: any): void;
}
declare class AbortSignal extends EventTarget {
  static abort(reason?: any): AbortSignal;
  static timeout(ms: number): AbortSignal;
  static any(signals: Iterable<AbortSignal>): AbortSignal;
  readonly aborted: boolean;
  readonly reason: any;
  onabort: ((event: Event) => void) | null;
  throwIfAborted(): void;
}

type HeadersInit = Headers | Record<string, string> | Iterable<[string, string]>;
declare class Headers {
  constructor(init?: HeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(visit: (value: string, name: string, headers: Headers) => void): void;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[string, string]>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}
type BodyInit = string | BufferSource | Blob | FormData | URLSearchParams | ReadableStream;
interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  redirect?: 'follow' | 'manual' | 'error';
  signal?: AbortSignal | null;
}
interface Body {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  json(): Promise<any>;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
  blob(): Promise<Blob>;
  formData(): Promise<FormData>;
}
interface Request extends Body {}
declare class Request {
  constructor(input: string | URL | Request, init?: RequestInit);
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly redirect: string;
  readonly signal: AbortSignal;
  clone(): Request;
}
interface Response extends Body {}
declare class Response {
  constructor(body?: BodyInit | null, init?: { status?: number; statusText?: string; headers?: HeadersInit });
  static json(value: any, init?: { status?: number; statusText?: string; headers?: HeadersInit }): Response;
  static error(): Response;
  static redirect(url: string, status?: number): Response;
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  readonly url: string;
  readonly type: string;
  readonly redirected: boolean;
  readonly headers: Headers;
  clone(): Response;
}
declare class Blob {
  constructor(parts?: (string | BufferSource | Blob)[], options?: { type?: string });
  readonly size: number;
  readonly type: string;
  slice(start?: number, end?: number, type?: string): Blob;
  text(): Promise<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
  stream(): ReadableStream<Uint8Array>;
}
declare class File extends Blob {
  constructor(parts: (string | BufferSource | Blob)[], name: string, options?: { type?: string; lastModified?: number });
  readonly name: string;
  readonly lastModified: number;
}
declare class FormData {
  append(name: string, value: string | Blob, filename?: string): void;
  delete(name: string): void;
  get(name: string): string | File | null;
  getAll(name: string): (string | File)[];
  has(name: string): boolean;
  set(name: string, value: string | Blob, filename?: string): void;
  forEach(visit: (value: string | File, name: string, form: FormData) => void): void;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string | File>;
  entries(): IterableIterator<[string, string | File]>;
  [Symbol.iterator](): IterableIterator<[string, string | File]>;
}
declare class ReadableStream<T = any> {
  constructor(source?: any, strategy?: any);
  static from<T>(source: Iterable<T> | AsyncIterable<T>): ReadableStream<T>;
  readonly locked: boolean;
  cancel(reason?: any): Promise<void>;
  getReader(): ReadableStreamDefaultReader<T>;
  pipeThrough<U>(transform: { readable: ReadableStream<U>; writable: WritableStream<T> }, options?: any): ReadableStream<U>;
  pipeTo(destination: WritableStream<T>, options?: any): Promise<void>;
  tee(): [ReadableStream<T>, ReadableStream<T>];
  [Symbol.asyncIterator](): AsyncIterableIterator<T>;
}
interface ReadableStreamDefaultReader<T = any> {
  readonly closed: Promise<void>;
  read(): Promise<{ done: false; value: T } | { done: true; value: undefined }>;
  releaseLock(): void;
  cancel(reason?: any): Promise<void>;
}
declare class WritableStream<T = any> {
  constructor(sink?: any, strategy?: any);
  readonly locked: boolean;
  abort(reason?: any): Promise<void>;
  close(): Promise<void>;
  getWriter(): WritableStreamDefaultWriter<T>;
}
interface WritableStreamDefaultWriter<T = any> {
  readonly closed: Promise<void>;
  readonly ready: Promise<void>;
  readonly desiredSize: number | null;
  abort(reason?: any): Promise<void>;
  close(): Promise<void>;
  releaseLock(): void;
  write(chunk: T): Promise<void>;
}
declare class TransformStream<I = any, O = any> {
  constructor(transformer?: any, writableStrategy?: any, readableStrategy?: any);
  readonly readable: ReadableStream<O>;
  readonly writable: WritableStream<I>;
}

declare class TextEncoderStream {
  readonly encoding: 'utf-8';
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<string>;
}
declare class TextDecoderStream {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<BufferSource>;
}
declare class CountQueuingStrategy {
  constructor(init: { highWaterMark: number });
  readonly highWaterMark: number;
  readonly size: (chunk?: any) => number;
}
declare class ByteLengthQueuingStrategy {
  constructor(init: { highWaterMark: number });
  readonly highWaterMark: number;
  readonly size: (chunk: ArrayBufferView) => number;
}

/** Needs `permissions.websocket`. */
declare class WebSocket extends EventTarget {
  constructor(url: string | URL, protocols?: string | string[]);
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  readonly url: string;
  readonly protocol: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: 'blob' | 'arraybuffer';
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string | BufferSource | Blob): void;
  close(code?: number, reason?: string): void;
}
