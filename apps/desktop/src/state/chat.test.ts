import { describe, expect, it } from 'vitest';
import type { ChatEvent } from '../core/types';
import { sourceWith } from '../testing/mockCore';
import {
  type ChatState,
  type Turn,
  answerText,
  chatSlice,
  threadOpened,
  threadStarted,
  turnEnded,
  turnEvent,
  turnFailed,
  turnRemoved,
  turnStarted,
  turnStopping,
} from './chat';

const at = { threadId: 'a', turnId: 't' };
const reduce = chatSlice.reducer;

function running(): ChatState {
  return reduce({ threads: [{ id: 'a', turns: [] }], activeId: 'a' }, turnStarted({ ...at, prompt: 'Hello' }));
}

function after(events: ChatEvent[], state = running()): ChatState {
  return events.reduce((current, event) => reduce(current, turnEvent({ ...at, event })), state);
}

function turnOf(state: ChatState): Turn {
  const turn = state.threads[0]?.turns[0];
  if (!turn) throw new Error('the turn is gone');
  return turn;
}

describe('a turn', () => {
  it('keeps text and tool cards in the order in which they came', () => {
    const turn = turnOf(
      after([
        { type: 'chat.delta', delta: 'Let me ' },
        { type: 'chat.delta', delta: 'look.' },
        { type: 'tool.call', id: '1', name: 'oracle__draw', args: {} },
        { type: 'tool.result', id: '1', name: 'oracle__draw', output: '7', success: true, millis: 3 },
        { type: 'chat.delta', delta: 'It is 7.' },
        { type: 'chat.done', answer: 'It is 7.' },
      ]),
    );
    expect(turn.parts).toEqual([
      { kind: 'text', text: 'Let me look.' },
      { kind: 'tool', cardId: 't/1' },
      { kind: 'text', text: 'It is 7.' },
    ]);
    expect(turn.status).toBe('done');
  });

  it('shows the final answer when nothing was streamed', () => {
    expect(answerText(turnOf(after([{ type: 'chat.done', answer: 'Whole.' }])))).toBe('Whole.');
  });

  it('lets the final answer win over a stream that lost a piece', () => {
    const events: ChatEvent[] = [
      { type: 'chat.delta', delta: 'It is' },
      { type: 'chat.done', answer: 'It is 7.' },
    ];
    expect(answerText(turnOf(after(events)))).toBe('It is 7.');
  });

  it('does not repeat an answer that spans several pieces', () => {
    const events: ChatEvent[] = [
      { type: 'chat.delta', delta: 'One. ' },
      { type: 'tool.call', id: '1', name: 'x', args: {} },
      { type: 'chat.delta', delta: 'Two.' },
      { type: 'chat.done', answer: 'One. Two.' },
    ];
    expect(answerText(turnOf(after(events)))).toBe('One. \n\nTwo.');
  });

  it('lists the recalled sources', () => {
    expect(turnOf(after([{ type: 'recall', sources: [sourceWith()] }])).sources).toEqual([sourceWith()]);
  });

  it('fails with the reason of the core and keeps what was said', () => {
    const turn = turnOf(
      after([
        { type: 'chat.delta', delta: 'It' },
        { type: 'chat.error', message: 'No route to the model.', error_type: 'provider' },
      ]),
    );
    expect(turn).toMatchObject({ status: 'failed', error: 'No route to the model.' });
    expect(answerText(turn)).toBe('It');
  });

  it('keeps what the core tells beside the answer', () => {
    const turn = turnOf(
      after([
        { type: 'chat.notice', message: 'The memory could not be searched.' },
        { type: 'chat.done', answer: 'Yes.' },
      ]),
    );
    expect(turn).toMatchObject({ status: 'done', notices: ['The memory could not be searched.'] });
  });

  it('fails when the stream ends without an answer', () => {
    const turn = turnOf(reduce(running(), turnEnded(at)));
    expect(turn).toMatchObject({ status: 'failed', error: 'The answer ended before it was complete.' });
  });

  it('is stopped, not failed, when the user asked for it', () => {
    const stopping = reduce(running(), turnStopping(at));
    const cancelled = after([{ type: 'chat.error', message: 'cancelled', error_type: 'cancelled' }], stopping);
    expect(turnOf(cancelled).status).toBe('stopped');
    expect(turnOf(reduce(stopping, turnEnded(at))).status).toBe('stopped');
  });

  it('ignores what arrives after its end', () => {
    const done = after([{ type: 'chat.done', answer: 'Yes.' }]);
    const late = after([{ type: 'chat.delta', delta: ' No.' }], done);
    expect(answerText(turnOf(reduce(late, turnFailed({ ...at, message: 'late' }))))).toBe('Yes.');
    expect(turnOf(late).status).toBe('done');
  });

  it('can be removed', () => {
    expect(reduce(running(), turnRemoved(at)).threads[0]?.turns).toEqual([]);
  });
});

describe('threads', () => {
  it('starts a new one on top and reuses an empty one', () => {
    const two = reduce(running(), threadStarted('b'));
    expect(two.threads.map(({ id }) => id)).toEqual(['b', 'a']);
    expect(two.activeId).toBe('b');
    const same = reduce(reduce(two, threadOpened('a')), threadStarted('c'));
    expect(same.threads).toHaveLength(2);
    expect(same.activeId).toBe('b');
  });

  it('does not open one that does not exist', () => {
    expect(reduce(running(), threadOpened('nowhere')).activeId).toBe('a');
  });
});
