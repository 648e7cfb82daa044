import { type FormEvent, useState } from 'react';
import { Gate } from '../components/Gate';
import { Notice } from '../components/Notice';
import { PassphraseField, ShowPassphrase } from '../components/PassphraseField';
import { Spinner } from '../components/Spinner';
import { unlockVault } from '../core/api';
import { useCore } from '../core/context';
import { snapshotReceived } from '../state/app';
import { useAppDispatch } from '../state/store';
import { toCoreError } from '../transport/types';

/** Opens the vault. */
export function Unlock() {
  const { transport } = useCore();
  const dispatch = useAppDispatch();
  const [visible, setVisible] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<{ wrongPassphrase: boolean; text: string }>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const passphrase = new FormData(form).get('passphrase');
    if (typeof passphrase !== 'string' || passphrase === '') {
      setProblem({ wrongPassphrase: true, text: 'Type the passphrase of your vault.' });
      return;
    }
    setProblem(undefined);
    setBusy(true);
    try {
      const snapshot = await unlockVault(transport, passphrase);
      form.reset();
      dispatch(snapshotReceived(snapshot));
    } catch (thrown) {
      const error = toCoreError(thrown);
      const wrongPassphrase = error.reason === 'wrong_password';
      setProblem({
        wrongPassphrase,
        text: wrongPassphrase ? 'This passphrase does not open the vault. Check it and try again.' : error.message,
      });
      setBusy(false);
      const input = form.elements.namedItem('passphrase');
      if (input instanceof HTMLInputElement) {
        input.focus();
        input.select();
      }
    }
  }

  return (
    <Gate title="Unlock your vault">
      <p className="mt-2 text-muted">Your notes, chats and keys are encrypted. Type your passphrase to open them.</p>
      <form className="mt-5 space-y-4" onSubmit={(event) => void submit(event)} noValidate>
        <PassphraseField
          name="passphrase"
          label="Passphrase"
          autoComplete="current-password"
          visible={visible}
          problem={problem?.wrongPassphrase ? problem.text : undefined}
          focused
        />
        <ShowPassphrase visible={visible} onChange={setVisible} />
        {problem && !problem.wrongPassphrase && <Notice tone="bad">{problem.text}</Notice>}
        <button type="submit" className="button button-primary w-full" disabled={busy}>
          {busy && <Spinner />}
          {busy ? 'Unlocking' : 'Unlock'}
        </button>
      </form>
    </Gate>
  );
}
