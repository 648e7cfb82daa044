import { type FormEvent, useEffect, useRef, useState } from 'react';
import { Gate } from '../components/Gate';
import { Notice } from '../components/Notice';
import { PassphraseField, ShowPassphrase } from '../components/PassphraseField';
import { Spinner } from '../components/Spinner';
import { unlockVault, vaultStatus } from '../core/api';
import { useCore } from '../core/context';
import { type Wait, useCountdown } from '../hooks/useCountdown';
import { snapshotReceived } from '../state/app';
import { useAppDispatch } from '../state/store';
import { type CoreError, toCoreError } from '../transport/types';
import { UnlockTrouble } from '../vault/UnlockTrouble';
import { Recover } from './Recover';

/** Opens the vault, with the passphrase or with the recovery key. */
export function Unlock() {
  const [recovering, setRecovering] = useState(false);
  if (recovering) return <Recover onBack={() => setRecovering(false)} />;
  return <WithPassphrase onLost={() => setRecovering(true)} />;
}

function WithPassphrase({ onLost }: { onLost: () => void }) {
  const { transport } = useCore();
  const dispatch = useAppDispatch();
  const form = useRef<HTMLFormElement>(null);
  const [visible, setVisible] = useState(false);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string>();
  const [problem, setProblem] = useState<CoreError>();
  const [wait, setWait] = useState<Wait | null>(null);
  const seconds = useCountdown(wait);

  // Wrong passphrases before this start count as well.
  useEffect(() => {
    let current = true;
    const asked = Date.now();
    vaultStatus(transport).then(
      ({ waiting_ms }) => {
        if (current && waiting_ms > 0) setWait((known) => known ?? { from: asked, ms: waiting_ms });
      },
      // The attempt itself will say what is wrong.
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [transport]);

  async function open(passphrase: string) {
    setWrong(undefined);
    setProblem(undefined);
    setBusy(true);
    try {
      const snapshot = await unlockVault(transport, passphrase);
      form.current?.reset();
      dispatch(snapshotReceived(snapshot));
    } catch (thrown) {
      refused(toCoreError(thrown));
      setBusy(false);
      const input = form.current?.elements.namedItem('passphrase');
      if (input instanceof HTMLInputElement) {
        input.focus();
        input.select();
      }
    }
  }

  function refused(error: CoreError) {
    if (error.reason === 'wrong_password') {
      setWrong('This passphrase does not open the vault. Check it and try again.');
    } else if (error.details.retryAfterMs !== undefined) {
      setWait({ from: Date.now(), ms: error.details.retryAfterMs });
    } else {
      setProblem(error);
    }
  }

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const passphrase = new FormData(event.currentTarget).get('passphrase');
    if (typeof passphrase !== 'string' || passphrase === '') setWrong('Type the passphrase of your vault.');
    else void open(passphrase);
  }

  return (
    <Gate title="Unlock your vault">
      <p className="mt-2 text-muted">Your notes, chats and keys are encrypted. Type your passphrase to open them.</p>
      <form ref={form} className="mt-5 space-y-4" onSubmit={submit} noValidate>
        <PassphraseField
          name="passphrase"
          label="Passphrase"
          autoComplete="current-password"
          visible={visible}
          problem={wrong}
          focused
        />
        <ShowPassphrase visible={visible} onChange={setVisible} />
        {seconds > 0 && (
          <div data-wait={seconds}>
            <Notice tone="warn">
              <p role="status">Too many wrong passphrases came before.</p>
              <p aria-hidden="true">
                The next try is possible in <span className="font-semibold tabular-nums">{seconds} s</span>.
              </p>
            </Notice>
          </div>
        )}
        {problem && (
          <UnlockTrouble
            error={problem}
            passphrase={() => new FormData(form.current ?? undefined).get('passphrase')}
            onSolved={(passphrase) => void open(passphrase)}
          />
        )}
        <button type="submit" className="button button-primary w-full" disabled={busy || seconds > 0}>
          {busy && <Spinner />}
          {busy ? 'Unlocking' : seconds > 0 ? `Wait ${seconds} s` : 'Unlock'}
        </button>
        <button type="button" className="button button-quiet w-full" onClick={onLost} disabled={busy}>
          I lost the passphrase
        </button>
      </form>
    </Gate>
  );
}
