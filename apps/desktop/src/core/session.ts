import { coreUnreachable, linkOpened, snapshotReceived, socketChanged, starting } from '../state/app';
import type { AppStore } from '../state/store';
import { type CoreEvent, type Transport, toCoreError } from '../transport/types';
import { loadSnapshot } from './api';
import type { OpenedLink, SocketState } from './types';

/** Keeps the store's picture of the core up to date. */
export interface Session {
  /** Loads the snapshot again. Calls that come while one is under way are joined into one more load. */
  refresh(): Promise<void>;
  /** Connects to the core, again after a failure. */
  start(): Promise<void>;
}

/** Creates the session of a store; `start` it after the first render, never before. */
export function createSession(store: AppStore, transport: Transport): Session {
  let subscribed = false;
  let loading: Promise<void> | undefined;
  let again = false;

  async function load(): Promise<void> {
    do {
      again = false;
      try {
        store.dispatch(snapshotReceived(await loadSnapshot(transport)));
      } catch (thrown) {
        store.dispatch(coreUnreachable(toCoreError(thrown).message));
      }
    } while (again);
  }

  function refresh(): Promise<void> {
    if (loading) {
      again = true;
      return loading;
    }
    loading = load().finally(() => {
      loading = undefined;
    });
    return loading;
  }

  function onEvent(event: CoreEvent): void {
    switch (event.type) {
      case 'socket.status':
        store.dispatch(socketChanged(event.socket as SocketState));
        break;
      case 'link.opened': {
        const { kind, ok, message } = event as unknown as OpenedLink;
        store.dispatch(linkOpened(message === undefined ? { kind, ok } : { kind, ok, message }));
        void refresh();
        break;
      }
      case 'skill.status':
      case 'vault.status':
      case 'memory.changed':
        void refresh();
        break;
    }
  }

  async function start(): Promise<void> {
    store.dispatch(starting());
    try {
      if (!subscribed) {
        await transport.subscribe(onEvent);
        subscribed = true;
      }
    } catch (thrown) {
      store.dispatch(coreUnreachable(toCoreError(thrown).message));
      return;
    }
    await refresh();
  }

  return { refresh, start };
}
