import type { ChatEvent } from '../src/core/types';
import { mockCore, playTurn, snapshotWith, sourceWith } from '../src/testing/mockCore';
import type { MockTransport, StreamHandler } from '../src/transport/mock';
import { CoreError } from '../src/transport/types';

interface Scene {
  core: () => MockTransport;
  prompts?: string[];
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

export const scenes: Record<string, Scene> = {
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
