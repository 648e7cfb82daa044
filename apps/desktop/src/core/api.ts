import type { Transport } from '../transport/types';
import type { Snapshot } from './types';

// The methods of the core that the window uses. The shell's allow-list names the same ones.

export function loadSnapshot(transport: Transport): Promise<Snapshot> {
  return transport.call('openhuman.app_state_snapshot');
}

export function createVault(transport: Transport, password: string): Promise<Snapshot> {
  return transport.call('openhuman.vault_create', { password });
}

export function unlockVault(transport: Transport, password: string): Promise<Snapshot> {
  return transport.call('openhuman.vault_unlock', { password });
}

export function connectSocket(transport: Transport, url: string, loginToken: string): Promise<unknown> {
  return transport.call('openhuman.socket_connect', { url, login_token: loginToken });
}

export function disconnectSocket(transport: Transport): Promise<unknown> {
  return transport.call('openhuman.socket_disconnect');
}

export function addNote(transport: Transport, title: string, text: string): Promise<unknown> {
  return transport.call('openhuman.memory_add', { title, text });
}

export function cancelChat(transport: Transport, threadId: string): Promise<unknown> {
  return transport.call('openhuman.chat_cancel', { thread_id: threadId });
}
