import { type FormEvent, useId, useState } from 'react';
import { Gate } from '../components/Gate';
import { Notice } from '../components/Notice';
import { ShowPassphrase } from '../components/PassphraseField';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { createVault } from '../core/api';
import { useCore } from '../core/context';
import type { Snapshot } from '../core/types';
import { useAction } from '../hooks/useAction';
import { creationEnded, creationStarted, snapshotReceived } from '../state/app';
import { useAppDispatch } from '../state/store';
import { NewPassphrase, type PassphraseProblem, newPassphraseOf } from '../vault/NewPassphrase';
import { RecoveryKeyOnce } from '../vault/RecoveryKey';

/** The first run: creates the vault and shows its recovery key. Neither is kept anywhere else than in these forms. */
export function CreateVault() {
  const { transport } = useCore();
  const dispatch = useAppDispatch();
  const action = useAction();
  const recoveryId = useId();
  const [visible, setVisible] = useState(false);
  const [problem, setProblem] = useState<PassphraseProblem>();
  const [made, setMade] = useState<{ snapshot: Snapshot; recoveryKey: string }>();

  function enter(snapshot: Snapshot) {
    dispatch(snapshotReceived(snapshot));
    dispatch(creationEnded());
  }

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const checked = newPassphraseOf(form);
    setProblem('problem' in checked ? checked.problem : undefined);
    if ('problem' in checked) return;
    const withRecoveryKey = new FormData(form).has('recovery');
    dispatch(creationStarted());
    const created = await action.run(() => createVault(transport, checked.passphrase, withRecoveryKey));
    if (!created) {
      dispatch(creationEnded());
      return;
    }
    form.reset();
    if (created.recoveryKey) setMade({ snapshot: created.snapshot, recoveryKey: created.recoveryKey });
    else enter(created.snapshot);
  }

  if (made) {
    return (
      <Gate title="Keep your recovery key">
        <RecoveryKeyOnce recoveryKey={made.recoveryKey} onDone={() => enter(made.snapshot)} />
      </Gate>
    );
  }
  return (
    <Gate title="Create your vault">
      <p className="mt-2 text-muted">
        OpenHuman keeps your notes, chats and keys in a vault on this computer. Everything in it is encrypted, and
        only your passphrase opens it.
      </p>
      <form className="mt-5 space-y-4" onSubmit={(event) => void submit(event)} noValidate>
        <NewPassphrase label="Passphrase" visible={visible} problem={problem} focused />
        <ShowPassphrase visible={visible} onChange={setVisible} />
        <div className="flex items-start gap-2">
          <input id={recoveryId} name="recovery" type="checkbox" defaultChecked className="mt-1 size-4 accent-accent" />
          <label htmlFor={recoveryId} className="text-muted">
            Make a recovery key, for when the passphrase is lost
          </label>
        </div>
        <Notice tone="warn">
          <strong className="font-semibold">It cannot be reset.</strong> Without the passphrase and the recovery key
          nobody can open the vault.
        </Notice>
        {action.problem && <Problem error={action.problem} />}
        <button type="submit" className="button button-primary w-full" disabled={action.busy}>
          {action.busy && <Spinner />}
          {action.busy ? 'Creating the vault' : 'Create the vault'}
        </button>
      </form>
    </Gate>
  );
}
