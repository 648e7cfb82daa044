import { StrictMode } from 'react';
import { Provider } from 'react-redux';
import { App } from './App';
import { type Core, CoreContext } from './core/context';
import type { AppStore } from './state/store';

/** The window with its state and its way to the core. */
export function Root({ store, core }: { store: AppStore; core: Core }) {
  return (
    <StrictMode>
      <Provider store={store}>
        <CoreContext.Provider value={core}>
          <App />
        </CoreContext.Provider>
      </Provider>
    </StrictMode>
  );
}
