import { type FormEvent, useId, useState } from 'react';
import { Gate } from '../components/Gate';
import { ShowPassphrase } from '../components/PassphraseField';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { recoverVault } from '../core/api';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { snapshotReceived } from '../state/app';
import { useAppDispatch } from '../state/store';
import { NewPassphrase, type PassphraseProblem, newPassphraseOf, read } from '../vault/NewPassphrase';

/** What the core says about the key itself goes to its input. */
const ABOUT_THE_KEY = ['wrong_recovery_key', 'no_recovery_key', 'recovery_key_typo'];

/** Opens the vault with its recovery key, and sets a new passphrase. */
export function Recover({ onBack }: { onBack: () => void }) {
  const { transport } = useCore();
  const dispatch = useAppDispatch();
  const action = useAction();
  const id = useId();
  const [visible, setVisible] = useState(false);
  const [problem, setProblem] = useState<PassphraseProblem>();
  const [missing, setMissing] = useState(false);
  const aboutKey = action.problem && ABOUT_THE_KEY.includes(action.problem.reason ?? '') ? action.problem : null;
  const keyProblem = missing ? 'Type the recovery key that you wrote down.' : aboutKey?.message;

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const key = read(form, 'key').trim();
    setMissing(key === '');
    const checked = newPassphraseOf(form);
    setProblem('problem' in checked ? checked.problem : undefined);
    action.clear();
    if (key === '' || 'problem' in checked) return;
    const snapshot = await action.run(() => recoverVault(transport, key, checked.passphrase));
    if (!snapshot) return;
    form.reset();
    dispatch(snapshotReceived(snapshot));
  }

  return (
    <Gate title="Open with the recovery key">
      <p className="mt-2 text-muted">
        The recovery key opens the vault once more, and a new passphrase takes the place of the lost one.
      </p>
      <form className="mt-5 space-y-4" onSubmit={(event) => void submit(event)} noValidate>
        <div>
          <label htmlFor={id} className="mb-1.5 block font-medium">
            Recovery key
          </label>
          <input
            id={id}
            name="key"
            className="field font-mono"
            autoComplete="off"
            spellCheck={false}
            placeholder="XXXX-XXXX-XXXX-…"
            aria-invalid={keyProblem ? true : undefined}
            aria-describedby={keyProblem ? `${id}-problem` : undefined}
          />
          {keyProblem && (
            <p id={`${id}-problem`} role="alert" className="mt-1.5 text-[0.8125rem] text-bad">
              {keyProblem}
            </p>
          )}
        </div>
        <NewPassphrase label="New passphrase" visible={visible} problem={problem} />
        <ShowPassphrase visible={visible} onChange={setVisible} />
        {action.problem && !aboutKey && <Problem error={action.problem} />}
        <button type="submit" className="button button-primary w-full" disabled={action.busy}>
          {action.busy && <Spinner />}
          {action.busy ? 'Opening the vault' : 'Open and set the passphrase'}
        </button>
        <button type="button" className="button button-quiet w-full" onClick={onBack} disabled={action.busy}>
          Back to the passphrase
        </button>
      </form>
    </Gate>
  );
}
