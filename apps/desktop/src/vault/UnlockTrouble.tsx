import { useState } from 'react';
import { Problem } from '../components/Trouble';
import { vaultAccept, vaultDiscardLog } from '../core/api';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import type { CoreError } from '../transport/types';
import { type WayOut, troubleOf } from './trouble';

const LABELS: Record<WayOut, { ask: string; sure: string }> = {
  accept: { ask: 'Use this older copy', sure: 'Yes, use it: what is newer is lost' },
  'accept-all': { ask: 'Accept all databases as they are', sure: 'Yes, accept them all' },
  'discard-log': { ask: 'Give up the last changes', sure: 'Yes, give them up' },
};

/** Why the vault opened and its databases did not, with the way out that there is. */
export function UnlockTrouble(props: {
  error: CoreError;
  /** What is typed in the form now. */
  passphrase: () => unknown;
  onSolved: (passphrase: string) => void;
}) {
  const { transport } = useCore();
  const action = useAction();
  const [asked, setAsked] = useState(false);
  const wayOut = troubleOf(props.error)?.wayOut;

  async function solve(how: WayOut) {
    const password = props.passphrase();
    if (typeof password !== 'string') return;
    const { database } = props.error.details;
    const solved = await action.run(() => {
      if (how === 'discard-log') return vaultDiscardLog(transport, { password, database: database ?? 'memory' });
      return vaultAccept(transport, how === 'accept' && database ? { password, database } : { password });
    });
    if (solved) props.onSolved(password);
  }

  return (
    <Problem error={action.problem ?? props.error}>
      {wayOut && (
        <div className="flex flex-wrap gap-2">
          {asked ? (
            <>
              <button
                type="button"
                className="button button-danger button-small"
                disabled={action.busy}
                onClick={() => void solve(wayOut)}
              >
                {LABELS[wayOut].sure}
              </button>
              <button type="button" className="button button-quiet button-small" onClick={() => setAsked(false)}>
                No
              </button>
            </>
          ) : (
            <button type="button" className="button button-quiet button-small" onClick={() => setAsked(true)}>
              {LABELS[wayOut].ask}
            </button>
          )}
        </div>
      )}
    </Problem>
  );
}
