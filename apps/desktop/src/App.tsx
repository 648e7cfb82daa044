import { CreateVault } from './screens/CreateVault';
import { Skeleton } from './screens/Skeleton';
import { Unlock } from './screens/Unlock';
import { Unreachable } from './screens/Unreachable';
import { Workspace } from './screens/Workspace';
import { useAppSelector } from './state/store';

/** Chooses the screen by the state of the core. */
export function App() {
  const { phase, snapshot, error, creating } = useAppSelector((state) => state.app);
  if (!snapshot) return phase === 'unreachable' ? <Unreachable reason={error} /> : <Skeleton />;
  // The screen that made the vault stays until its recovery key was seen.
  if (creating || snapshot.vault === 'absent') return <CreateVault />;
  return snapshot.vault === 'locked' ? <Unlock /> : <Workspace snapshot={snapshot} />;
}
