import { createSlice, type PayloadAction } from '@reduxjs/toolkit';

/** What the main part of the window shows. */
export type View =
  | { name: 'chat' }
  | { name: 'skills'; tab: 'installed' | 'registry' | 'sent' }
  | { name: 'skill'; skillId: string }
  | { name: 'memory'; tab: 'search' | 'documents' | 'hand' | 'forget' }
  | { name: 'server' }
  | { name: 'vault' };

const initialState = { name: 'chat' } as View;

export const viewSlice = createSlice({
  name: 'view',
  initialState,
  reducers: {
    viewOpened: (_state, action: PayloadAction<View>) => action.payload,
  },
});

export const { viewOpened } = viewSlice.actions;
