import { describe, expect, it } from 'vitest';
import type { ChatEvent } from '../core/types';
import { turnEnded, turnEvent, turnRemoved } from './chat';
import { type ToolsState, splitToolName, toolsSlice } from './tools';

const at = { threadId: 'a', turnId: 't' };
const reduce = toolsSlice.reducer;
const call: ChatEvent = { type: 'tool.call', id: '1', name: 'oracle__draw', args: { sides: 6 } };

function after(...events: ChatEvent[]): ToolsState {
  return events.reduce((state, event) => reduce(state, turnEvent({ ...at, event })), { cards: {} });
}

describe('tool cards', () => {
  it('run until their result comes', () => {
    expect(after(call).cards['t/1']).toMatchObject({ name: 'oracle__draw', args: { sides: 6 }, status: 'running' });
    const result: ChatEvent = { type: 'tool.result', id: '1', name: 'oracle__draw', output: '4', success: true, millis: 12 };
    expect(after(call, result).cards['t/1']).toMatchObject({ status: 'succeeded', output: '4', millis: 12 });
  });

  it('show a tool that failed', () => {
    const result: ChatEvent = { type: 'tool.result', id: '1', name: 'oracle__draw', output: 'no dice', success: false, millis: 1 };
    expect(after(call, result).cards['t/1']).toMatchObject({ status: 'failed', output: 'no dice' });
  });

  it('ignore a result without a call', () => {
    const result: ChatEvent = { type: 'tool.result', id: '9', name: 'x', output: '', success: true, millis: 1 };
    expect(after(result).cards).toEqual({});
  });

  it('do not keep running after the turn', () => {
    expect(reduce(after(call), turnEnded(at)).cards['t/1']?.status).toBe('stopped');
    const error: ChatEvent = { type: 'chat.error', message: 'gone', error_type: 'provider' };
    expect(after(call, error).cards['t/1']?.status).toBe('stopped');
  });

  it('leave with their turn', () => {
    expect(reduce(after(call), turnRemoved(at)).cards).toEqual({});
  });
});

describe('splitToolName', () => {
  it.each([
    ['oracle__draw', { skill: 'oracle', tool: 'draw' }],
    ['a__b__c', { skill: 'a', tool: 'b__c' }],
    ['search', { skill: null, tool: 'search' }],
    ['__odd', { skill: null, tool: '__odd' }],
  ])('%s', (name, parts) => {
    expect(splitToolName(name)).toEqual(parts);
  });
});
