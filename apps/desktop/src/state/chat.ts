import { createSlice, nanoid, type PayloadAction } from '@reduxjs/toolkit';
import type { ChatEvent, Source } from '../core/types';

/** A piece of an answer, in the order in which the pieces arrived. */
export type Part = { kind: 'text'; text: string } | { kind: 'tool'; cardId: string };

/** How far an answer is. */
export type TurnStatus = 'running' | 'stopping' | 'done' | 'stopped' | 'failed';

/** One prompt and its answer. */
export interface Turn {
  id: string;
  prompt: string;
  parts: Part[];
  sources: Source[];
  /** What the user should know although the turn goes on, such as a memory that could not be searched. */
  notices: string[];
  status: TurnStatus;
  error: string | null;
}

/** One conversation. */
export interface Thread {
  id: string;
  turns: Turn[];
}

/** The conversations of this window, the newest first. */
export interface ChatState {
  threads: Thread[];
  activeId: string;
}

/** One step of a turn, as the tool cards and the chat see it. */
export interface TurnEvent {
  threadId: string;
  turnId: string;
  event: ChatEvent;
}

/** Where a turn is. */
export interface TurnRef {
  threadId: string;
  turnId: string;
}

/** The key of a tool card: call ids are only unique within a turn. */
export function cardIdOf(turnId: string, callId: string): string {
  return `${turnId}/${callId}`;
}

/** The text of an answer, without its tool cards. */
export function answerText(turn: Turn): string {
  return turn.parts
    .filter((part) => part.kind === 'text')
    .map((part) => part.text)
    .join('\n\n');
}

/** Whether the core still works on a turn. */
export function isActive(turn: Turn | undefined): boolean {
  return turn?.status === 'running' || turn?.status === 'stopping';
}

function initialState(): ChatState {
  const first: Thread = { id: nanoid(), turns: [] };
  return { threads: [first], activeId: first.id };
}

export const chatSlice = createSlice({
  name: 'chat',
  initialState,
  reducers: {
    threadOpened(state, action: PayloadAction<string>) {
      if (state.threads.some((thread) => thread.id === action.payload)) state.activeId = action.payload;
    },
    threadStarted: {
      prepare: (id: string = nanoid()) => ({ payload: id }),
      reducer(state, action: PayloadAction<string>) {
        // An empty conversation is as good as a new one.
        const empty = state.threads.find((thread) => thread.turns.length === 0);
        if (!empty) state.threads.unshift({ id: action.payload, turns: [] });
        state.activeId = empty?.id ?? action.payload;
      },
    },
    turnStarted(state, action: PayloadAction<TurnRef & { prompt: string }>) {
      const { threadId, turnId, prompt } = action.payload;
      const thread = state.threads.find((candidate) => candidate.id === threadId);
      thread?.turns.push({ id: turnId, prompt, parts: [], sources: [], notices: [], status: 'running', error: null });
    },
    turnRemoved(state, action: PayloadAction<TurnRef>) {
      const thread = state.threads.find((candidate) => candidate.id === action.payload.threadId);
      if (thread) thread.turns = thread.turns.filter((turn) => turn.id !== action.payload.turnId);
    },
    turnStopping(state, action: PayloadAction<TurnRef>) {
      const turn = findTurn(state, action.payload);
      if (turn?.status === 'running') turn.status = 'stopping';
    },
    turnEvent(state, action: PayloadAction<TurnEvent>) {
      const turn = findTurn(state, action.payload);
      if (turn && isActive(turn)) applyEvent(turn, action.payload.event);
    },
    /** The stream is over. A turn that has no last event by now was cut off. */
    turnEnded(state, action: PayloadAction<TurnRef>) {
      const turn = findTurn(state, action.payload);
      if (turn?.status === 'stopping') turn.status = 'stopped';
      if (turn?.status === 'running') fail(turn, 'The answer ended before it was complete.');
    },
    turnFailed(state, action: PayloadAction<TurnRef & { message: string }>) {
      const turn = findTurn(state, action.payload);
      if (turn && isActive(turn)) fail(turn, action.payload.message);
    },
  },
});

export const {
  threadOpened,
  threadStarted,
  turnStarted,
  turnRemoved,
  turnStopping,
  turnEvent,
  turnEnded,
  turnFailed,
} = chatSlice.actions;

function findTurn(state: ChatState, at: TurnRef): Turn | undefined {
  return state.threads
    .find((thread) => thread.id === at.threadId)
    ?.turns.find((turn) => turn.id === at.turnId);
}

function applyEvent(turn: Turn, event: ChatEvent): void {
  switch (event.type) {
    case 'recall':
      turn.sources = event.sources;
      break;
    case 'chat.notice':
      turn.notices.push(event.message);
      break;
    case 'chat.delta':
      appendText(turn, event.delta);
      break;
    case 'tool.call':
      turn.parts.push({ kind: 'tool', cardId: cardIdOf(turn.id, event.id) });
      break;
    case 'tool.result':
      break;
    case 'chat.done':
      settleAnswer(turn, event.answer);
      turn.status = 'done';
      break;
    case 'chat.error':
      if (turn.status === 'stopping' || event.error_type === 'cancelled') turn.status = 'stopped';
      else fail(turn, event.message);
      break;
  }
}

function appendText(turn: Turn, delta: string): void {
  const last = turn.parts.at(-1);
  if (last?.kind === 'text') last.text += delta;
  else if (delta) turn.parts.push({ kind: 'text', text: delta });
}

/** The final answer counts; what was streamed is kept when it already says the same. */
function settleAnswer(turn: Turn, answer: string): void {
  const whole = turn.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  const last = turn.parts.at(-1);
  const tail = last?.kind === 'text' ? last : undefined;
  if (!answer.trim() || sameText(whole, answer) || (tail && sameText(tail.text, answer))) return;
  if (tail) tail.text = answer;
  else turn.parts.push({ kind: 'text', text: answer });
}

function sameText(left: string, right: string): boolean {
  return left.trim() === right.trim();
}

function fail(turn: Turn, message: string): void {
  turn.status = 'failed';
  turn.error = message;
}
