import { type FormEvent, useState } from 'react';
import { Gate } from '../components/Gate';
import { Notice } from '../components/Notice';
import { PassphraseField, ShowPassphrase } from '../components/PassphraseField';
import { Spinner } from '../components/Spinner';
import { createVault } from '../core/api';
import { useCore } from '../core/context';
import { snapshotReceived } from '../state/app';
import { useAppDispatch } from '../state/store';
import { toCoreError } from '../transport/types';

const MIN_LENGTH = 8;

/** The first run: creates the vault. The passphrase goes from the form to the core and is kept nowhere else. */
export function CreateVault() {
  const { transport } = useCore();
  const dispatch = useAppDispatch();
  const [visible, setVisible] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<{ field: 'passphrase' | 'repeat' | 'core'; text: string }>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const passphrase = read(form, 'passphrase');
    if ([...passphrase].length < MIN_LENGTH) {
      setProblem({ field: 'passphrase', text: `Use at least ${MIN_LENGTH} characters.` });
      return;
    }
    if (read(form, 'repeat') !== passphrase) {
      setProblem({ field: 'repeat', text: 'The two passphrases are not the same.' });
      return;
    }
    setProblem(undefined);
    setBusy(true);
    try {
      const snapshot = await createVault(transport, passphrase);
      form.reset();
      dispatch(snapshotReceived(snapshot));
    } catch (thrown) {
      setProblem({ field: 'core', text: toCoreError(thrown).message });
      setBusy(false);
    }
  }

  return (
    <Gate title="Create your vault">
      <p className="mt-2 text-muted">
        OpenHuman keeps your notes, chats and keys in a vault on this computer. Everything in it is encrypted, and
        only your passphrase opens it.
      </p>
      <form className="mt-5 space-y-4" onSubmit={(event) => void submit(event)} noValidate>
        <PassphraseField
          name="passphrase"
          label="Passphrase"
          autoComplete="new-password"
          visible={visible}
          hint="Four or more unrelated words are easy to remember and hard to guess."
          problem={problem?.field === 'passphrase' ? problem.text : undefined}
          focused
        />
        <PassphraseField
          name="repeat"
          label="Repeat the passphrase"
          autoComplete="new-password"
          visible={visible}
          problem={problem?.field === 'repeat' ? problem.text : undefined}
        />
        <ShowPassphrase visible={visible} onChange={setVisible} />
        <Notice tone="warn">
          <strong className="font-semibold">It cannot be reset.</strong> Nobody can open the vault without the
          passphrase. Keep a copy in a safe place.
        </Notice>
        {problem?.field === 'core' && <Notice tone="bad">{problem.text}</Notice>}
        <button type="submit" className="button button-primary w-full" disabled={busy}>
          {busy && <Spinner />}
          {busy ? 'Creating the vault' : 'Create the vault'}
        </button>
      </form>
    </Gate>
  );
}

function read(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === 'string' ? value : '';
}
