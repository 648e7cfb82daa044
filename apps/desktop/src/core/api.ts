import type { Transport } from '../transport/types';
import { skillsRpc, skillsSearch, vaultCreate, vaultRecover, vaultUnlock } from './generated';
import type { RegistrySkill, SetupAnswer, SetupStep, SkillOption, SkillState, Snapshot } from './types';

// What the generated client cannot say: the state of the core, and what skills answer. The shell's allow-list names the
// methods of both files.

export * from './generated';

export async function loadSnapshot(transport: Transport): Promise<Snapshot> {
  return shown(await transport.call<Snapshot>('openhuman.app_state_snapshot'));
}

/** Creates the vault; the recovery key, when one is wanted, is in the answer this once. */
export async function createVault(
  transport: Transport,
  password: string,
  withRecoveryKey: boolean,
): Promise<{ snapshot: Snapshot; recoveryKey: string | null }> {
  const answer = (await vaultCreate(transport, { password, recovery_key: withRecoveryKey })) as Snapshot & {
    recovery_key?: string;
  };
  return { snapshot: shown(answer), recoveryKey: answer.recovery_key ?? null };
}

export async function unlockVault(transport: Transport, password: string): Promise<Snapshot> {
  return shown((await vaultUnlock(transport, { password })) as Snapshot);
}

export async function recoverVault(transport: Transport, recoveryKey: string, newPassword: string): Promise<Snapshot> {
  const answer = await vaultRecover(transport, { recovery_key: recoveryKey, new_password: newPassword });
  return shown(answer as Snapshot);
}

export function disconnectSocket(transport: Transport): Promise<unknown> {
  return transport.call('openhuman.socket_disconnect');
}

/** What the registry has, beside what is installed. */
export async function searchRegistry(transport: Transport, query: string): Promise<RegistrySkill[]> {
  const found = (await skillsSearch(transport, { query })) as RegistrySkill[];
  return found.map(({ id, name, version, description, author, category, installed, installed_version, update_available }) => ({
    id, name, version, description, author, category, installed, installed_version, update_available,
  }));
}

/** The first step of a skill's wizard, or null when it has none. */
export async function startSetup(transport: Transport, skillId: string): Promise<SetupStep | null> {
  const answer = await skillsRpc(transport, { skill_id: skillId, method: 'setup/start', params: {} });
  return isObject(answer) && isObject(answer.step) ? (answer.step as unknown as SetupStep) : null;
}

export async function submitSetup(
  transport: Transport,
  skillId: string,
  stepId: unknown,
  values: Record<string, unknown>,
): Promise<SetupAnswer> {
  const params = { stepId, values };
  return (await skillsRpc(transport, { skill_id: skillId, method: 'setup/submit', params })) as SetupAnswer;
}

export function cancelSetup(transport: Transport, skillId: string): Promise<unknown> {
  return skillsRpc(transport, { skill_id: skillId, method: 'setup/cancel', params: {} });
}

export async function connectAccount(
  transport: Transport,
  skillId: string,
  mode: string,
  credentials: Record<string, unknown>,
): Promise<SetupAnswer> {
  const params = { mode, credentials };
  const answer = await skillsRpc(transport, { skill_id: skillId, method: 'auth/complete', params });
  return isObject(answer) ? (answer) : {};
}

export async function listOptions(transport: Transport, skillId: string): Promise<SkillOption[]> {
  const answer = await skillsRpc(transport, { skill_id: skillId, method: 'options/list', params: {} });
  const options = isObject(answer) ? answer.options : null;
  return Array.isArray(options) ? options.filter(isObject).map((option) => option as unknown as SkillOption) : [];
}

export function setOption(transport: Transport, skillId: string, name: string, value: unknown): Promise<unknown> {
  return skillsRpc(transport, { skill_id: skillId, method: 'options/set', params: { name, value } });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keeps of a snapshot what the window shows: what a skill publishes about itself stays out of the window's state. */
function shown({ vault, socket, model, skills, memory, version }: Snapshot): Snapshot {
  return { vault, socket, model, skills: skills.map(shownSkill), memory, version };
}

function shownSkill({ skill_id, name, status, connection_status, tools, error }: SkillState): SkillState {
  const plain = tools.map((tool) => ({ name: tool.name, description: tool.description }));
  return { skill_id, name, status, connection_status, tools: plain, error };
}
