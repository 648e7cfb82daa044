import { CreateVault } from './screens/CreateVault';
import { Skeleton } from './screens/Skeleton';
import { Unlock } from './screens/Unlock';
import { Unreachable } from './screens/Unreachable';
import { Workspace } from './screens/Workspace';
import { useAppSelector } from './state/store';

/** Chooses the screen by the state of the core. */
export function App() {
  const { phase, snapshot, error } = useAppSelector((state) => state.app);
  if (!snapshot) return phase === 'unreachable' ? <Unreachable reason={error} /> : <Skeleton />;
  switch (snapshot.vault) {
    case 'absent':
      return <CreateVault />;
    case 'locked':
      return <Unlock />;
    case 'unlocked':
      return <Workspace snapshot={snapshot} />;
  }
}
