import { KeyRound, LifeBuoy, ShieldCheck } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { Card } from '../components/Card';
import { PassphraseField, ShowPassphrase } from '../components/PassphraseField';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { vaultChangePassword, vaultCreateRecoveryKey, vaultStatus } from '../core/api';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import type { CoreError } from '../transport/types';
import { NewPassphrase, type PassphraseProblem, newPassphraseOf, read } from '../vault/NewPassphrase';
import { RecoveryKeyOnce } from '../vault/RecoveryKey';

/** The vault while it is open: its passphrase, its recovery key, and how its keys are kept. */
export function VaultScreen() {
  return (
    <div role="region" aria-label="Vault" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto px-6 py-6">
      <div className="mx-auto max-w-2xl space-y-5">
        <h2 className="text-lg font-semibold tracking-tight">Vault</h2>
        <Protection />
        <ChangePassphrase />
        <NewRecoveryKey />
      </div>
    </div>
  );
}

function Protection() {
  const { transport } = useCore();
  const { data, problem } = useLoaded('status', () => vaultStatus(transport));
  return (
    <Card title="Everything is encrypted" icon={<ShieldCheck size={16} aria-hidden="true" className="text-accent" />}>
      {problem && <Problem error={problem} />}
      <p className="mt-2 text-muted">
        Notes, chats, skill data and accounts are sealed with AES-256. The vault is open until OpenHuman is closed.
        {data &&
          (data.memory_locked
            ? ' Its keys in memory are kept out of swap.'
            : ' Its keys in memory may be swapped out on this system.')}
      </p>
    </Card>
  );
}

/** The passphrase of a form is wrong, or it has to wait: said at the input. */
function atPassphrase(error: CoreError | null): string | undefined {
  if (error?.reason === 'wrong_password') return 'This is not the passphrase of the vault.';
  if (error?.reason === 'too_many_attempts') return `${error.message}.`;
  return undefined;
}

function ChangePassphrase() {
  const { transport } = useCore();
  const action = useAction();
  const [visible, setVisible] = useState(false);
  const [problem, setProblem] = useState<PassphraseProblem>();
  const [changed, setChanged] = useState(false);
  const wrong = atPassphrase(action.problem);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    setChanged(false);
    const checked = newPassphraseOf(form);
    setProblem('problem' in checked ? checked.problem : undefined);
    if ('problem' in checked) return;
    const params = { password: read(form, 'current'), new_password: checked.passphrase };
    if (await action.run(() => vaultChangePassword(transport, params))) {
      form.reset();
      setChanged(true);
    }
  }

  return (
    <Card title="Change the passphrase" icon={<KeyRound size={16} aria-hidden="true" className="text-accent" />}>
      <form className="mt-4 space-y-4" onSubmit={(event) => void submit(event)} noValidate>
        <PassphraseField
          name="current"
          label="Current passphrase"
          autoComplete="current-password"
          visible={visible}
          problem={wrong}
        />
        <NewPassphrase label="New passphrase" visible={visible} problem={problem} />
        <ShowPassphrase visible={visible} onChange={setVisible} />
        {action.problem && !wrong && <Problem error={action.problem} />}
        {changed && (
          <p role="status" className="text-good">
            The vault opens with the new passphrase from now on.
          </p>
        )}
        <button type="submit" className="button button-primary" disabled={action.busy}>
          {action.busy && <Spinner />}
          {action.busy ? 'Changing' : 'Change the passphrase'}
        </button>
      </form>
    </Card>
  );
}

function NewRecoveryKey() {
  const { transport } = useCore();
  const action = useAction();
  const [made, setMade] = useState<{ recovery_key: string; replaced: boolean }>();
  const [kept, setKept] = useState(false);
  const wrong = atPassphrase(action.problem);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    setKept(false);
    const key = await action.run(() => vaultCreateRecoveryKey(transport, { password: read(form, 'password') }));
    if (key) setMade(key);
  }

  return (
    <Card title="Recovery key" icon={<LifeBuoy size={16} aria-hidden="true" className="text-accent" />}>
      {made ? (
        <>
          {made.replaced && <p className="mt-2 text-muted">The earlier recovery key opens nothing any more.</p>}
          <RecoveryKeyOnce
            recoveryKey={made.recovery_key}
            onDone={() => {
              setMade(undefined);
              setKept(true);
            }}
          />
        </>
      ) : (
        <form className="mt-2 space-y-4" onSubmit={(event) => void submit(event)} noValidate>
          <p className="text-muted">
            It opens the vault when the passphrase is lost. A new one takes the place of the one you have.
          </p>
          <PassphraseField
            name="password"
            label="Passphrase"
            autoComplete="current-password"
            visible={false}
            problem={wrong}
          />
          {action.problem && !wrong && <Problem error={action.problem} />}
          {kept && (
            <p role="status" className="text-good">
              The new recovery key opens the vault from now on.
            </p>
          )}
          <button type="submit" className="button button-quiet" disabled={action.busy}>
            {action.busy && <Spinner />}
            {action.busy ? 'Making a key' : 'Make a new recovery key'}
          </button>
        </form>
      )}
    </Card>
  );
}
