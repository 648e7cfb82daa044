import type { ChatEvent, Snapshot, Source } from '../core/types';
import { type CallHandler, MockTransport, type StreamHandler } from '../transport/mock';
import { CoreError } from '../transport/types';

/** A state with everything in order; `over` replaces parts of it. */
export function snapshotWith(over: Partial<Snapshot> = {}): Snapshot {
  return {
    vault: 'unlocked',
    socket: { status: 'disconnected' },
    model: { name: 'gpt-4.1-mini', configured: true },
    skills: [
      {
        skill_id: 'prices',
        name: 'Prices',
        status: 'running',
        connection_status: 'connected',
        tools: [
          { name: 'get_price', description: 'The current price of an asset' },
          { name: 'list_assets', description: 'All assets with a price' },
        ],
      },
      {
        skill_id: 'notes',
        name: 'Notes',
        status: 'running',
        connection_status: 'connected',
        tools: [{ name: 'find_note', description: 'Finds a note by its words' }],
      },
    ],
    memory: { documents: 12, chunks: 87 },
    version: '0.1.0',
    ...over,
  };
}

/** A passage from memory. */
export function sourceWith(over: Partial<Source> = {}): Source {
  return {
    title: 'Staking plan',
    source: 'notes/staking.md',
    text: 'Stake a third of the ETH with two independent operators, and review the yield every quarter.',
    score: 0.82,
    ...over,
  };
}

/** Plays the events of a turn as one stream. */
export function playTurn(events: ChatEvent[]): StreamHandler {
  return (params, emit) => {
    for (const event of events) emit({ ...event, thread_id: params.thread_id });
  };
}

/** A stream that the test feeds by hand. */
export function manualTurn() {
  let emit: (event: ChatEvent) => void = () => {
    throw new Error('the stream has not started');
  };
  let end: () => void = () => undefined;
  const handler: StreamHandler = (params, send) => {
    emit = (event) => send({ ...event, thread_id: params.thread_id });
    return new Promise<void>((resolve) => {
      end = resolve;
    });
  };
  return { handler, emit: (event: ChatEvent) => emit(event), end: () => end() };
}

/** What a mock core is made of. */
export interface MockOptions {
  snapshot?: Snapshot;
  passphrase?: string;
  chat?: StreamHandler;
  /** Answers to more methods, or other answers to the same. */
  calls?: Record<string, CallHandler>;
}

/** A recovery key as the core makes them. */
export const RECOVERY_KEY = 'A1B2-C3D4-E5F6-G7H8-J9K0-M1N2-P3Q4-R5S6-T7V8';

/** The code of a login, and the link that answers it. */
export const CHALLENGE = 'mN3yq1o6yVbT0H2c8gkJ5wXr4uQzLf7sPaDiEeK9RxY';
export const LOGIN_LINK = 'openhuman://auth?token=oht1_answer';

/** A core in memory: a vault with a passphrase, a socket that can be switched, and one scripted chat. */
export function mockCore(options: MockOptions = {}) {
  const passphrase = options.passphrase ?? 'correct horse battery';
  let snapshot = options.snapshot ?? snapshotWith();
  const transport: MockTransport = new MockTransport({
    calls: {
      'openhuman.app_state_snapshot': () => snapshot,
      'openhuman.vault_create': ({ recovery_key }) => {
        snapshot = { ...snapshot, vault: 'unlocked' };
        transport.push({ type: 'vault.status', status: 'unlocked' });
        return recovery_key ? { ...snapshot, recovery_key: RECOVERY_KEY } : snapshot;
      },
      'openhuman.vault_unlock': ({ password }) => {
        if (password !== passphrase) throw new CoreError(-32000, 'The password is wrong.', 'wrong_password');
        return (snapshot = { ...snapshot, vault: 'unlocked' });
      },
      'openhuman.socket_connect': ({ url }) => {
        snapshot = { ...snapshot, socket: { status: 'connected', socket_id: 'abc', backend: String(url) } };
        return {};
      },
      'openhuman.socket_disconnect': () => {
        snapshot = { ...snapshot, socket: { status: 'disconnected' } };
        return {};
      },
      'openhuman.memory_add': () => {
        const { documents, chunks } = snapshot.memory;
        snapshot = { ...snapshot, memory: { documents: documents + 1, chunks: chunks + 1 } };
        return {};
      },
      'openhuman.chat_cancel': () => ({}),
      'openhuman.vault_status': () => ({ exists: true, open: true, memory_locked: true, excluded_from_dumps: true, waiting_ms: 0 }),
      'openhuman.socket_report': () => ({ link: null }),
      'openhuman.auth_sessions': () => ({ backends: [] }),
      'openhuman.auth_logout': () => ({ was_logged_in: true }),
      'openhuman.auth_login_cancel': () => ({ ok: true }),
      'openhuman.auth_login_start': () => ({ challenge: CHALLENGE, valid_ms: 300_000 }),
      'openhuman.auth_login_finish': ({ link }) => {
        if (link !== LOGIN_LINK) throw new CoreError(-32000, 'this device has not asked to log in', 'login_link');
        snapshot = { ...snapshot, socket: { status: 'connected', socket_id: 'abc', backend: 'https://server.example' } };
        return {};
      },
      ...options.calls,
    },
    streams: {
      'openhuman.chat_start':
        options.chat ?? playTurn([{ type: 'chat.done', answer: 'No chat is scripted.' }]),
    },
  });
  return transport;
}
