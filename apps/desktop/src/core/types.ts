/** Whether the vault exists and is open. */
export type VaultStatus = 'absent' | 'locked' | 'unlocked';

/** The connection to the OpenHuman server. */
export interface SocketState {
  status: 'disconnected' | 'connecting' | 'connected' | 'reconnecting' | 'error';
  socket_id?: string | null;
  /** The address of the server, while a connection to one is wanted. */
  backend?: string | null;
  /** Why it is not connected; or, while it is, what the server reported last. */
  error?: string | null;
  /** Milliseconds until the next attempt, counted from when this state was sent. */
  next_try_ms?: number | null;
  /** When the next attempt is due, in milliseconds since the epoch. */
  next_try_at_ms?: number | null;
  /** Messages of the server that were dropped. */
  lost_events?: number;
}

/** The language model. Without a configured one, answers are quotes from memory. */
export interface ModelState {
  name: string;
  configured: boolean;
}

/** One skill and the tools that it offers. */
export interface SkillState {
  skill_id: string;
  name: string;
  status: 'pending' | 'initializing' | 'running' | 'stopping' | 'stopped' | 'error';
  /** Whether its account is connected: `connected`, `setup_required`, `not_authenticated` and others. */
  connection_status: string;
  tools: { name: string; description: string }[];
  error?: string | null;
}

/** What is in memory. */
export interface MemoryState {
  documents: number;
  chunks: number;
}

/** The core's state as the window shows it. It never holds a secret. */
export interface Snapshot {
  vault: VaultStatus;
  socket: SocketState;
  model: ModelState;
  skills: SkillState[];
  memory: MemoryState;
  version: string;
}

/** A passage from memory that was used for an answer. */
export interface Source {
  title: string;
  source: string;
  text: string;
  score: number;
}

/** One event of a chat turn. */
export type ChatEvent =
  | { type: 'recall'; sources: Source[] }
  | { type: 'chat.notice'; message: string }
  | { type: 'chat.delta'; delta: string }
  | { type: 'tool.call'; id: string; name: string; args: unknown }
  | { type: 'tool.result'; id: string; name: string; output: string; success: boolean; millis?: number | null }
  | { type: 'chat.done'; answer: string }
  | { type: 'chat.error'; message: string; error_type: string };

/** A skill that the registry offers. */
export interface RegistrySkill {
  id: string;
  name: string;
  version?: string | null;
  description?: string | null;
  author?: string | null;
  category?: string | null;
  installed: boolean;
  installed_version?: string | null;
  update_available: boolean;
}

/** One input of a set-up, as a skill or its manifest describes it. */
export interface SetupInput {
  name: string;
  type?: string;
  label?: string;
  description?: string | null;
  required?: boolean;
  default?: unknown;
  placeholder?: string | null;
  options?: { label: string; value: unknown }[];
}

/** One step of a skill's wizard. */
export interface SetupStep {
  id: unknown;
  title?: string;
  description?: string;
  fields?: SetupInput[];
}

/** What a skill says to what was entered. */
export interface SetupAnswer {
  status?: 'next' | 'complete' | 'error';
  nextStep?: SetupStep | null;
  errors?: { field?: string; message?: string }[];
  message?: string;
}

/** Something that can be set in a skill. */
export interface SkillOption {
  name: string;
  type?: string;
  label?: string;
  description?: string | null;
  value?: unknown;
  options?: { label: string; value: unknown }[];
}

/** What became of a link that the system handed over because somebody clicked on it. It never holds the link. */
export interface OpenedLink {
  kind: 'login' | 'account';
  ok: boolean;
  /** Why it was not used. */
  message?: string;
}
