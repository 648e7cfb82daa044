import { describe, expect, it } from 'vitest';
import { snapshotWith } from '../testing/mockCore';
import { appSlice, coreUnreachable, snapshotReceived, socketChanged, starting } from './app';

const reduce = appSlice.reducer;
const initial = reduce(undefined, { type: 'init' });

describe('the state of the core', () => {
  it('is unknown at first', () => {
    expect(initial).toMatchObject({ phase: 'starting', snapshot: null });
  });

  it('is ready with a snapshot', () => {
    const state = reduce(initial, snapshotReceived(snapshotWith(), 5));
    expect(state).toMatchObject({ phase: 'ready', socketAt: 5 });
    expect(state.snapshot?.memory.documents).toBe(12);
  });

  it('follows the socket', () => {
    const ready = reduce(initial, snapshotReceived(snapshotWith(), 5));
    const socket = { status: 'reconnecting', error: 'refused', next_try_ms: 2000 } as const;
    const state = reduce(ready, socketChanged(socket, 9));
    expect(state.snapshot?.socket).toEqual(socket);
    expect(state.socketAt).toBe(9);
    expect(reduce(initial, socketChanged(socket, 9)).snapshot).toBeNull();
  });

  it('keeps the last snapshot when the core does not answer, and forgets the reason on a new start', () => {
    const ready = reduce(initial, snapshotReceived(snapshotWith(), 5));
    const lost = reduce(ready, coreUnreachable('busy'));
    expect(lost).toMatchObject({ phase: 'unreachable', error: 'busy' });
    expect(lost.snapshot).not.toBeNull();
    expect(reduce(lost, starting())).toMatchObject({ phase: 'starting', error: null });
  });
});
