import type { ChatEvent } from '../src/core/types';
import { mockCore, playTurn, snapshotWith, sourceWith } from '../src/testing/mockCore';
import type { MockTransport, StreamHandler } from '../src/transport/mock';
import type { View } from '../src/state/view';
import {
  egressWith,
  mockSkills,
  permissionsWith,
  planWith,
  skillWith,
} from '../src/testing/mockSkills';
import { documentWith, foundWith, itemWith, mockMemory } from '../src/testing/mockMemory';
import { CoreError } from '../src/transport/types';

interface Scene {
  core: () => MockTransport;
  prompts?: string[];
  /** What the main part of the window shows. */
  view?: View;
  /** Buttons that are clicked, by what they say. */
  clicks?: string[];
  /** What is typed into the first input of the page. */
  types?: string;
  /** Leaves the window as it is before the core answers. */
  starting?: boolean;
}

const QUESTION = 'What is ETH at, and what did I note about my staking plan?';

const TOOLS: ChatEvent[] = [
  {
    type: 'recall',
    sources: [
      sourceWith(),
      sourceWith({ title: 'Operators', source: 'notes/operators.md', text: 'Compare fees and uptime first.', score: 0.61 }),
    ],
  },
  { type: 'tool.call', id: '1', name: 'prices__get_price', args: { asset: 'ETH', currency: 'USD' } },
  { type: 'tool.result', id: '1', name: 'prices__get_price', output: '{"asset":"ETH","usd":3127.44}', success: true, millis: 14 },
  { type: 'tool.call', id: '2', name: 'notes__find_note', args: { query: 'staking plan' } },
];

const ANSWER = `ETH is at **$3,127.44** right now.

Your staking plan says:

> Stake a third of the ETH with two independent operators, and review the yield every quarter.

| Operator | Share | Next review |
| --- | --- | --- |
| North | 1/6 | January |
| Harbour | 1/6 | January |

1. Check both operators' fees.
2. Run \`prices list_assets\` before you move anything.

\`\`\`json
{ "asset": "ETH", "usd": 3127.44 }
\`\`\``;

const answered: ChatEvent[] = [
  ...TOOLS,
  { type: 'tool.result', id: '2', name: 'notes__find_note', output: 'Staking plan: a third, two operators', success: true, millis: 1380 },
  { type: 'chat.delta', delta: ANSWER },
  { type: 'chat.done', answer: ANSWER },
];

/** Plays events and then leaves the stream open. */
function openTurn(events: ChatEvent[]): StreamHandler {
  return async (params, emit) => {
    await playTurn(events)(params, emit);
    await new Promise(() => undefined);
  };
}

const offline = snapshotWith({
  model: { name: 'extractive', configured: false },
  skills: [],
  memory: { documents: 0, chunks: 0 },
});

const MAIL = skillWith({
  skill_id: 'mail',
  name: 'Mail',
  version: '2.0.1',
  description: 'Reads and sends mail of your own server.',
  condition: 'needs_setup',
  reason: 'It has to be set up before it works.',
  connection_status: 'setup_required',
  allowed: false,
  setup: {
    required: true,
    complete: false,
    label: 'Connect the mailbox',
    modes: [
      {
        mode: 'text', label: 'With an app password', description: 'Make one in the settings of your mail provider.', provider: null,
        fields: [], text_description: 'It rests in the vault; the skill sees a placeholder.', text_placeholder: 'abcd efgh ijkl mnop',
      },
      { mode: 'managed', label: null, description: null, provider: 'google', fields: [], text_description: null, text_placeholder: null },
    ],
  },
  origin: { installed: false, source: null, key: null },
});

const SKILLS = [
  skillWith(),
  MAIL,
  skillWith({ skill_id: 'notes', name: 'Notes', condition: 'stopped', enabled: false, awake: false, description: 'Keeps short notes.' }),
  skillWith({
    skill_id: 'alerts', name: 'Alerts', condition: 'error', awake: false, description: null,
    reason: 'init failed: ReferenceError: threshold is not defined at index.js:14:9',
  }),
  skillWith({
    skill_id: 'miner', name: 'Chart', condition: 'quarantined', awake: false, quarantined_until_ms: Date.now() + 95_000, description: 'Draws charts.',
    reason: "Skill 'miner' is in quarantine until 2026-11-23 10:04:00 UTC: it had to be ended 3 times within 10 minutes.",
  }),
];

const EGRESS = [
  egressWith(),
  egressWith({ skill_id: 'mail', host: 'imap.mail.example', path: '/v1/messages', cause: 'hook onCronTrigger', bytes_out: 812, bytes_in: 48_211, secrets: ['mail/token'] }),
  egressWith({ host: 'telemetry.example', result: 'refused', detail: 'the skill may not reach telemetry.example', bytes_in: 0, path: '/collect', method: 'POST' }),
  egressWith({ host: '127.0.0.1', port: 8080, scheme: 'http', result: 'failed', detail: 'connection refused', bytes_in: 0, path: '/health' }),
];

const skillsCore = (over: Partial<Parameters<typeof mockSkills>[0]> = {}) =>
  mockCore({
    calls: mockSkills({
      skills: SKILLS.map((skill) => ({ ...skill })),
      egress: EGRESS,
      registry: [
        { id: 'notion', name: 'Notion', version: '1.2.0', description: 'Pages and databases of a workspace.', author: 'OpenHuman', installed: false, update_available: false },
        { id: 'prices', name: 'Prices', version: '1.3.0', description: 'Current prices of assets.', author: 'OpenHuman', installed: true, installed_version: '1.2.0', update_available: true },
        { id: 'server-ping', name: 'Server ping', version: '2.0.0', description: 'Watches whether a server answers.', author: null, installed: true, installed_version: '2.0.0', update_available: false },
      ],
      plan: planWith({ publisher: 'first_use', publisher_text: 'The package is signed with the key 1f2e-3d4c-5b6a-7988, which was not seen before; from now on only this key is accepted.' }),
      options: [
        { name: 'unit', type: 'select', label: 'Currency', value: 'usd', options: [{ label: 'US dollar', value: 'usd' }, { label: 'Euro', value: 'eur' }] },
        { name: 'live', type: 'boolean', label: 'Refresh every minute', description: 'Uses more data.', value: true },
      ],
      permissions: permissionsWith({ hosts: ['cdn.prices.example'], private: ['127.0.0.1:8080'], wanted: [{ kind: 'host', what: 'telemetry.example', host: true }] }),
      rpc: {
        'setup/start': () => ({
          step: {
            id: 'server', title: 'Your mail server', description: 'Where your mail is.',
            fields: [
              { name: 'host', type: 'text', label: 'Server', required: true, placeholder: 'imap.example.com', description: 'Its name, without https.' },
              { name: 'port', type: 'number', label: 'Port', default: 993 },
              { name: 'tls', type: 'boolean', label: 'Encrypted', default: true },
              { name: 'folder', type: 'select', label: 'Folder', options: [{ label: 'Inbox', value: 'in' }, { label: 'All mail', value: 'all' }] },
            ],
          },
        }),
      },
      ...over,
    }),
  });

function refusing(reason: string, details: { database?: string; retryAfterMs?: number }) {
  return () =>
    mockCore({
      snapshot: snapshotWith({ vault: 'locked' }),
      calls: {
        'openhuman.vault_unlock': () => {
          throw new CoreError(-32000, `the database 'memory' in /home/ana/.local/share/openhuman/memory/memory.db: ${reason}`, reason, details);
        },
      },
    });
}

const SERVER = 'https://server.example';

const linkedCore = (socket: Parameters<typeof snapshotWith>[0] = {}) =>
  mockCore({
    snapshot: snapshotWith(socket),
    calls: {
      'openhuman.auth_sessions': () => ({ backends: [SERVER, 'http://127.0.0.1:8787'] }),
      'openhuman.socket_report': () => ({
        link: {
          backend: SERVER, connections: 3, frames_received: 1204, bytes_received: 5_312_004, frames_sent: 311, bytes_sent: 90_021,
          pending_acks: 0, waiting: 0, lost_events: 12, lost_skill_events: 12, last_disconnect: 'ping timeout',
        },
      }),
    },
  });

const memoryCore = () =>
  mockCore({
    calls: mockMemory({
      found: [
        foundWith(),
        foundWith({ chunk_id: 2, title: 'Operators', source: 'notes/operators.md', heading: [], text: 'Compare fees and uptime first.', score: 0.7, signals: { vector: 0.41, text: 1.2, matched_terms: 1 } }),
        foundWith({ chunk_id: 3, title: 'Tea', source: 'notes/tea.md', heading: [], text: 'Four minutes, not five.', score: 0.2, signals: { vector: 0.08, text: 0, matched_terms: 0 } }, false),
      ],
      documents: [documentWith(), documentWith({ id: 'd2', key: 'tea', title: 'Tea', source: '', chunks: 1, updated_ms: Date.UTC(2026, 10, 2) })],
      items: [
        itemWith({ pinned: true }),
        itemWith({ id: 2, kind: 'goal', text: 'Ship the first version in spring', origin: 'calendar', evidence: 3 }),
      ],
    }),
  });

export const scenes: Record<string, Scene> = {
  server: {
    core: () => linkedCore({ socket: { status: 'reconnecting', backend: SERVER, error: 'cannot reach server.example:443: connection refused', next_try_at_ms: Date.now() + 14_000, lost_events: 12 } }),
    view: { name: 'server' },
  },
  login: { core: () => linkedCore(), view: { name: 'server' } },
  found: { core: memoryCore, view: { name: 'memory', tab: 'search' } },
  documents: { core: memoryCore, view: { name: 'memory', tab: 'documents' } },
  hand: { core: memoryCore, view: { name: 'memory', tab: 'hand' } },
  forget: { core: memoryCore, view: { name: 'memory', tab: 'forget' } },
  skills: { core: skillsCore, view: { name: 'skills', tab: 'installed' } },
  skill: { core: skillsCore, view: { name: 'skill', skillId: 'prices' } },
  setup: { core: skillsCore, view: { name: 'skill', skillId: 'mail' }, clicks: ['Connect the mailbox'] },
  quarantined: { core: skillsCore, view: { name: 'skill', skillId: 'miner' } },
  registry: { core: skillsCore, view: { name: 'skills', tab: 'registry' }, clicks: ['Install… Notion'] },
  sent: { core: skillsCore, view: { name: 'skills', tab: 'sent' } },
  noskills: { core: () => skillsCore({ skills: [] }), view: { name: 'skills', tab: 'installed' } },
  vault: { core: () => mockCore(), view: { name: 'vault' } },
  wait: { core: refusing('too_many_attempts', { retryAfterMs: 64_000 }), types: 'not it', clicks: ['Unlock'] },
  older: { core: refusing('rolled_back', { database: 'memory' }), types: 'not it', clicks: ['Unlock', 'Use this older copy'] },
  recover: { core: () => mockCore({ snapshot: snapshotWith({ vault: 'locked' }) }), clicks: ['I lost the passphrase'] },
  key: { core: () => mockCore({ snapshot: snapshotWith({ vault: 'absent' }) }), types: 'long enough', clicks: ['Create the vault'] },
  starting: { core: () => mockCore(), starting: true },
  create: { core: () => mockCore({ snapshot: snapshotWith({ vault: 'absent' }) }) },
  unlock: { core: () => mockCore({ snapshot: snapshotWith({ vault: 'locked' }) }) },
  welcome: { core: () => mockCore({ snapshot: offline }) },
  answer: {
    core: () =>
      mockCore({
        snapshot: snapshotWith({ socket: { status: 'connected', socket_id: 'Yk3' } }),
        chat: playTurn(answered),
      }),
    prompts: [QUESTION],
  },
  streaming: {
    core: () =>
      mockCore({
        snapshot: snapshotWith({
          socket: { status: 'reconnecting', error: 'connection refused by server.example', next_try_ms: 12_000 },
        }),
        chat: openTurn(TOOLS),
      }),
    prompts: [QUESTION],
  },
  failed: {
    core: () =>
      mockCore({
        snapshot: snapshotWith({
          socket: { status: 'error', error: 'The login token has expired. Ask for a new one.' },
          skills: [
            ...snapshotWith().skills,
            {
              skill_id: 'alerts',
              name: 'Alerts',
              status: 'error',
              connection_status: 'error',
              tools: [{ name: 'set_alert', description: 'Sets an alert' }],
              error: 'init threw: ReferenceError: threshold is not defined',
            },
          ],
        }),
        chat: playTurn([
          { type: 'tool.call', id: '1', name: 'prices__get_price', args: { asset: 'XYZ' } },
          { type: 'tool.result', id: '1', name: 'prices__get_price', output: 'There is no asset XYZ.', success: false, millis: 9 },
          { type: 'chat.error', message: 'The model answered with status 429: too many requests. Wait a minute and try again.', error_type: 'provider' },
        ]),
      }),
    prompts: ['What is XYZ at?'],
  },
  unreachable: {
    core: () => {
      const core = mockCore();
      core.call = () => Promise.reject(new CoreError(-32000, 'Another OpenHuman process holds the data folder. Close it first.'));
      return core;
    },
  },
};
