import type { Transport } from '../transport/types';
import type { SkillState, Snapshot } from './types';

// The methods of the core that the window uses. The shell's allow-list names the same ones.

export async function loadSnapshot(transport: Transport): Promise<Snapshot> {
  return shown(await transport.call('openhuman.app_state_snapshot'));
}

export async function createVault(transport: Transport, password: string): Promise<Snapshot> {
  return shown(await transport.call('openhuman.vault_create', { password }));
}

export async function unlockVault(transport: Transport, password: string): Promise<Snapshot> {
  return shown(await transport.call('openhuman.vault_unlock', { password }));
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

/** Keeps of a snapshot what the window shows: what a skill publishes about itself stays out of the window's state. */
function shown({ vault, socket, model, skills, memory, version }: Snapshot): Snapshot {
  return { vault, socket, model, skills: skills.map(shownSkill), memory, version };
}

function shownSkill({ skill_id, name, status, connection_status, tools, error }: SkillState): SkillState {
  const plain = tools.map((tool) => ({ name: tool.name, description: tool.description }));
  return { skill_id, name, status, connection_status, tools: plain, error };
}
