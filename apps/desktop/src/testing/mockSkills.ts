import type {
  EgressEntry,
  PermissionsView,
  PlanView,
  SkillOverview,
  SkillsOverview,
} from '../core/generated';
import type { RegistrySkill, SkillOption } from '../core/types';
import type { CallHandler } from '../transport/mock';
import { CoreError } from '../transport/types';

/** A skill that runs and needs nothing; `over` replaces parts of it. */
export function skillWith(over: Partial<SkillOverview> = {}): SkillOverview {
  return {
    skill_id: 'prices',
    name: 'Prices',
    version: '1.2.0',
    description: 'Current prices of assets, from a public source.',
    condition: 'running',
    reason: null,
    quarantined_until_ms: null,
    enabled: true,
    awake: true,
    connection_status: 'connected',
    setup: { required: false, complete: true, label: null, modes: [] },
    allowed: true,
    asks: true,
    tools: [{ name: 'get_price', description: 'The current price of an asset' }],
    origin: { installed: true, source: 'https://registry.example', key: '1f2e-3d4c-5b6a-7988' },
    ...over,
  };
}

/** What a skill asks for and has. */
export function permissionsWith(over: Partial<PermissionsView> = {}): PermissionsView {
  return {
    digest: 'd'.repeat(64),
    allowed: true,
    changed: false,
    declared: true,
    wishes: [
      { kind: 'host', what: 'api.prices.example', text: 'reach api.prices.example, only GET', granted: true },
      { kind: 'memory_insert', what: '', text: 'add to the memory', granted: true },
    ],
    hosts: [],
    private: [],
    wanted: [],
    ...over,
  };
}

/** One attempt to reach a host. */
export function egressWith(over: Partial<EgressEntry> = {}): EgressEntry {
  return {
    time_ms: Date.UTC(2026, 10, 23, 9, 30, 5),
    duration_ms: 120,
    skill_id: 'prices',
    cause: 'tool get_price',
    method: 'GET',
    scheme: 'https',
    host: 'api.prices.example',
    port: 443,
    path: '/v1/price',
    result: 'answered',
    detail: '200',
    bytes_out: 0,
    bytes_in: 5230,
    secrets: [],
    ...over,
  };
}

/** What installing a skill means. */
export function planWith(over: Partial<PlanView> = {}): PlanView {
  return {
    skill_id: 'notion',
    name: 'Notion',
    version: '1.2.0',
    installed_version: null,
    installed: false,
    older: false,
    digest: 'e'.repeat(64),
    needs_consent: true,
    publisher: 'unsigned',
    publisher_text: 'The package is not signed; it is pinned by its hash, and every update asks again.',
    key: null,
    adds: ['reach api.notion.com', 'add to the memory'],
    removes: [],
    ...over,
  };
}

export interface MockSkills {
  skills: SkillOverview[];
  problems?: SkillsOverview['problems'];
  permissions?: PermissionsView;
  egress?: EgressEntry[];
  registry?: RegistrySkill[];
  plan?: PlanView;
  options?: SkillOption[];
  /** What skills say: by the method of `skills_rpc`. */
  rpc?: Record<string, (params: Record<string, unknown>) => unknown>;
}

/** The methods behind the skills of a mock core, over a state that they change. */
export function mockSkills(state: MockSkills): Record<string, CallHandler> {
  let permissions = state.permissions ?? permissionsWith();
  const find = (id: unknown) => {
    const skill = state.skills.find(({ skill_id }) => skill_id === id);
    if (!skill) throw new CoreError(-32000, `the skill '${String(id)}' was not found`);
    return skill;
  };
  return {
    'openhuman.skills_overview': () => ({ skills: state.skills.map((skill) => ({ ...skill })), problems: state.problems ?? [] }),
    'openhuman.skills_switch': ({ skill_id, on }) => {
      const skill = find(skill_id);
      Object.assign(skill, { enabled: on, condition: on ? 'running' : 'stopped', awake: on });
      return {};
    },
    'openhuman.skills_lift_quarantine': ({ skill_id }) => {
      Object.assign(find(skill_id), { condition: 'running', reason: null });
      return {};
    },
    'openhuman.skills_disconnect': () => ({}),
    'openhuman.skills_permissions': () => permissions,
    'openhuman.skills_allow': ({ digest }) => {
      if (digest !== permissions.digest) throw new CoreError(-32000, 'the package changed', 'changed');
      const wishes = permissions.wishes.map((wish) => ({ ...wish, granted: true }));
      return (permissions = { ...permissions, wishes, allowed: true, changed: false });
    },
    'openhuman.skills_revoke': () => {
      const wishes = permissions.wishes.map((wish) => ({ ...wish, granted: false }));
      return (permissions = { ...permissions, wishes, allowed: false, hosts: [], private: [] });
    },
    'openhuman.skills_allow_host': ({ host, port }) => {
      const wanted = permissions.wanted.filter(({ what }) => what !== host);
      permissions =
        typeof port === 'number'
          ? { ...permissions, wanted, private: [...permissions.private, `${String(host)}:${port}`] }
          : { ...permissions, wanted, hosts: [...permissions.hosts, String(host)] };
      return permissions;
    },
    'openhuman.skills_forget_host': ({ host }) =>
      (permissions = { ...permissions, hosts: permissions.hosts.filter((known) => known !== host) }),
    'openhuman.skills_egress': ({ skill_id, refused }) => ({
      records: (state.egress ?? []).filter(
        (record) => (skill_id === undefined || record.skill_id === skill_id) && (!refused || record.result === 'refused'),
      ),
    }),
    'openhuman.skills_search': ({ query }) =>
      (state.registry ?? []).filter(({ name }) => name.toLowerCase().includes(String(query).toLowerCase())),
    'openhuman.skills_plan': () => state.plan ?? planWith(),
    'openhuman.skills_install': ({ skill_id }) => {
      state.skills.push(skillWith({ skill_id: String(skill_id), name: 'Notion', condition: 'stopped', enabled: false }));
      return { installed: skill_id, version: '1.2.0', enabled: false };
    },
    'openhuman.skills_uninstall': ({ skill_id }) => {
      state.skills = state.skills.filter((skill) => skill.skill_id !== skill_id);
      return { removed: true, documents: 0, data: false };
    },
    'openhuman.skills_rpc': ({ method, params }) => {
      if (method === 'options/list') return { options: state.options ?? [] };
      const answer = state.rpc?.[String(method)];
      return answer ? answer(params as Record<string, unknown>) : null;
    },
  };
}
