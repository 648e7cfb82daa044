import { createContext, useContext } from 'react';
import type { Transport } from '../transport/types';
import type { Session } from './session';

/** The way to the core, for components. */
export interface Core {
  transport: Transport;
  session: Session;
}

export const CoreContext = createContext<Core | null>(null);

/** The core of this window. */
export function useCore(): Core {
  const core = useContext(CoreContext);
  if (!core) throw new Error('useCore is used outside CoreContext.Provider');
  return core;
}
