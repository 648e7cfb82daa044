import { nanoid } from '@reduxjs/toolkit';
import type { AppThunk } from '../state/store';
import { isActive, turnEnded, turnEvent, turnFailed, turnRemoved, turnStarted, turnStopping, type TurnRef } from '../state/chat';
import { toCoreError } from '../transport/types';
import { chatCancel } from './api';
import type { ChatEvent } from './types';

/** How long streamed text is gathered before it is drawn, in milliseconds. */
const DRAW_INTERVAL_MS = 32;

/** Sends a prompt and follows its answer to the end. Does nothing while the thread is still answering. */
export function sendPrompt(threadId: string, prompt: string): AppThunk<Promise<void>> {
  return async (dispatch, getState, { transport }) => {
    const thread = getState().chat.threads.find((candidate) => candidate.id === threadId);
    if (!thread || isActive(thread.turns.at(-1))) return;
    const at: TurnRef = { threadId, turnId: nanoid() };
    dispatch(turnStarted({ ...at, prompt }));
    const events = gatherDeltas((event) => dispatch(turnEvent({ ...at, event })));
    try {
      await transport.stream('openhuman.chat_start', { thread_id: threadId, message: prompt }, (event) =>
        events.push(event as unknown as ChatEvent),
      );
      events.flush();
      dispatch(turnEnded(at));
    } catch (thrown) {
      events.flush();
      dispatch(turnFailed({ ...at, message: toCoreError(thrown).message }));
    }
  };
}

/** Sends the prompt of a failed or stopped turn again, as the newest turn of its thread. */
export function retryTurn(at: TurnRef): AppThunk<Promise<void>> {
  return async (dispatch, getState) => {
    const thread = getState().chat.threads.find((candidate) => candidate.id === at.threadId);
    const turn = thread?.turns.find((candidate) => candidate.id === at.turnId);
    if (!turn || isActive(thread?.turns.at(-1))) return;
    dispatch(turnRemoved(at));
    await dispatch(sendPrompt(at.threadId, turn.prompt));
  };
}

/** Asks the core to stop the thread's turn. The turn ends when its stream does. */
export function stopTurn(at: TurnRef): AppThunk<Promise<void>> {
  return async (dispatch, _getState, { transport }) => {
    dispatch(turnStopping(at));
    try {
      await chatCancel(transport, { thread_id: at.threadId });
    } catch (thrown) {
      dispatch(turnFailed({ ...at, message: `The answer could not be stopped: ${toCoreError(thrown).message}` }));
    }
  };
}

/** Joins pieces of text that arrive faster than the screen can show them; other events keep their place. */
export function gatherDeltas(emit: (event: ChatEvent) => void) {
  let pending = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (!pending) return;
    const delta = pending;
    pending = '';
    emit({ type: 'chat.delta', delta });
  };
  return {
    flush,
    push(event: ChatEvent) {
      if (event.type === 'chat.delta') {
        pending += event.delta;
        timer ??= setTimeout(flush, DRAW_INTERVAL_MS);
      } else {
        flush();
        emit(event);
      }
    },
  };
}
