import { createSlice } from '@reduxjs/toolkit';
import { cardIdOf, turnEnded, turnEvent, turnFailed, turnRemoved } from './chat';

/** One tool call as the chat shows it. */
export interface ToolCard {
  id: string;
  turnId: string;
  /** The full name, `skillId__tool`. */
  name: string;
  args: unknown;
  status: 'running' | 'succeeded' | 'failed' | 'stopped';
  output: string | null;
  millis: number | null;
}

/** The tool calls of all conversations by card id. */
export interface ToolsState {
  cards: Record<string, ToolCard>;
}

/** Splits `skillId__tool`; a name without a skill is a tool of the core. */
export function splitToolName(name: string): { skill: string | null; tool: string } {
  const at = name.indexOf('__');
  return at > 0 ? { skill: name.slice(0, at), tool: name.slice(at + 2) } : { skill: null, tool: name };
}

const initialState: ToolsState = { cards: {} };

export const toolsSlice = createSlice({
  name: 'tools',
  initialState,
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(turnEvent, (state, action) => {
        const { turnId, event } = action.payload;
        if (event.type === 'tool.call') {
          const id = cardIdOf(turnId, event.id);
          state.cards[id] = {
            id,
            turnId,
            name: event.name,
            args: event.args,
            status: 'running',
            output: null,
            millis: null,
          };
        } else if (event.type === 'tool.result') {
          const card = state.cards[cardIdOf(turnId, event.id)];
          if (!card) return;
          card.status = event.success ? 'succeeded' : 'failed';
          card.output = event.output;
          card.millis = event.millis ?? null;
        } else if (event.type === 'chat.done' || event.type === 'chat.error') {
          settle(state, turnId);
        }
      })
      .addCase(turnEnded, (state, action) => settle(state, action.payload.turnId))
      .addCase(turnFailed, (state, action) => settle(state, action.payload.turnId))
      .addCase(turnRemoved, (state, action) => {
        for (const card of Object.values(state.cards)) {
          if (card.turnId === action.payload.turnId) delete state.cards[card.id];
        }
      });
  },
});

/** No card keeps running after its turn ended. */
function settle(state: ToolsState, turnId: string): void {
  for (const card of Object.values(state.cards)) {
    if (card.turnId === turnId && card.status === 'running') card.status = 'stopped';
  }
}
