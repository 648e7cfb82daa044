import { describe, expect, it, vi } from 'vitest';
import { createStore } from '../state/store';
import { mockCore, snapshotWith } from '../testing/mockCore';
import { MockTransport } from '../transport/mock';
import { createSession } from './session';
import { gatherDeltas } from './turn';
import type { ChatEvent } from './types';

function start(transport: MockTransport) {
  const store = createStore(transport);
  return { store, session: createSession(store, transport) };
}

describe('the session', () => {
  it('loads the snapshot and follows the socket', async () => {
    const core = mockCore();
    const { store, session } = start(core);
    await session.start();
    core.push({ type: 'socket.status', socket: { status: 'error', error: 'The token has expired.' } });
    expect(store.getState().app.snapshot?.socket).toMatchObject({ status: 'error', error: 'The token has expired.' });
  });

  it('loads the snapshot again when skills or the vault change, once for many changes', async () => {
    const core = mockCore();
    const { session } = start(core);
    await session.start();
    const loads = () => core.log.filter(({ method }) => method === 'openhuman.app_state_snapshot').length;
    for (let n = 0; n < 10; n += 1) core.push({ type: 'skill.status' });
    await session.refresh();
    expect(loads()).toBe(3);
  });

  it('says why the core cannot be reached, and recovers', async () => {
    let broken = true;
    const core = new MockTransport({
      calls: {
        'openhuman.app_state_snapshot': () => {
          if (broken) throw new Error('The data folder is in use.');
          return snapshotWith();
        },
      },
    });
    const { store, session } = start(core);
    await session.start();
    expect(store.getState().app).toMatchObject({ phase: 'unreachable', error: 'The data folder is in use.' });
    broken = false;
    await session.start();
    expect(store.getState().app.phase).toBe('ready');
  });
});

describe('gatherDeltas', () => {
  it('joins text until it is time to draw and keeps the order of other events', () => {
    vi.useFakeTimers();
    const seen: ChatEvent[] = [];
    const events = gatherDeltas((event) => seen.push(event));
    events.push({ type: 'chat.delta', delta: 'a' });
    events.push({ type: 'chat.delta', delta: 'b' });
    expect(seen).toEqual([]);
    vi.advanceTimersByTime(32);
    expect(seen).toEqual([{ type: 'chat.delta', delta: 'ab' }]);
    events.push({ type: 'chat.delta', delta: 'c' });
    events.push({ type: 'chat.done', answer: 'abc' });
    expect(seen.slice(1)).toEqual([
      { type: 'chat.delta', delta: 'c' },
      { type: 'chat.done', answer: 'abc' },
    ]);
    vi.useRealTimers();
  });
});
