import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import type { OpenedLink, Snapshot, SocketState } from '../core/types';

/** What the window knows about the core. */
export interface AppState {
  phase: 'starting' | 'ready' | 'unreachable';
  snapshot: Snapshot | null;
  /** When the socket state arrived, milliseconds since the epoch: the base of the countdown to the next try. */
  socketAt: number;
  error: string | null;
  /** What became of a link that the system handed over, until it was seen. */
  link: OpenedLink | null;
  /** A vault is being made: its recovery key has to be seen before anything else is shown. */
  creating: boolean;
}

const initialState: AppState = { phase: 'starting', snapshot: null, socketAt: 0, error: null, link: null, creating: false };

export const appSlice = createSlice({
  name: 'app',
  initialState,
  reducers: {
    starting(state) {
      state.phase = 'starting';
      state.error = null;
    },
    snapshotReceived: {
      prepare: (snapshot: Snapshot, at: number = Date.now()) => ({ payload: { snapshot, at } }),
      reducer(state, action: PayloadAction<{ snapshot: Snapshot; at: number }>) {
        state.phase = 'ready';
        state.snapshot = action.payload.snapshot;
        state.socketAt = action.payload.at;
        state.error = null;
      },
    },
    socketChanged: {
      prepare: (socket: SocketState, at: number = Date.now()) => ({ payload: { socket, at } }),
      reducer(state, action: PayloadAction<{ socket: SocketState; at: number }>) {
        if (!state.snapshot) return;
        state.snapshot.socket = action.payload.socket;
        state.socketAt = action.payload.at;
      },
    },
    linkOpened(state, action: PayloadAction<OpenedLink>) {
      state.link = action.payload;
    },
    linkSeen(state) {
      state.link = null;
    },
    creationStarted(state) {
      state.creating = true;
    },
    creationEnded(state) {
      state.creating = false;
    },
    coreUnreachable(state, action: PayloadAction<string>) {
      state.phase = 'unreachable';
      state.error = action.payload;
    },
  },
});

export const {
  starting,
  snapshotReceived,
  socketChanged,
  linkOpened,
  linkSeen,
  creationStarted,
  creationEnded,
  coreUnreachable,
} = appSlice.actions;
