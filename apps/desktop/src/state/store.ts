import { configureStore, type ThunkAction, type UnknownAction } from '@reduxjs/toolkit';
import { useDispatch, useSelector } from 'react-redux';
import type { Transport } from '../transport/types';
import { appSlice } from './app';
import { chatSlice } from './chat';
import { toolsSlice } from './tools';
import { viewSlice } from './view';

/** Builds the window's state. It holds what is shown and nothing secret; nothing of it is stored. */
export function createStore(transport: Transport) {
  return configureStore({
    reducer: {
      app: appSlice.reducer,
      chat: chatSlice.reducer,
      tools: toolsSlice.reducer,
      view: viewSlice.reducer,
    },
    middleware: (defaults) => defaults({ thunk: { extraArgument: { transport } } }),
  });
}

export type AppStore = ReturnType<typeof createStore>;
export type RootState = ReturnType<AppStore['getState']>;
export type AppDispatch = AppStore['dispatch'];
export type AppThunk<Result = void> = ThunkAction<Result, RootState, { transport: Transport }, UnknownAction>;

export const useAppDispatch = useDispatch.withTypes<AppDispatch>();
export const useAppSelector = useSelector.withTypes<RootState>();
