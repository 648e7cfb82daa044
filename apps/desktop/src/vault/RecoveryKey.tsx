import { Check, Copy } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Notice } from '../components/Notice';

/**
 * Shows a recovery key, once. The last group has to be typed before it goes away, so that it was at least looked at.
 * The key lives in this component only.
 */
export function RecoveryKeyOnce({ recoveryKey, onDone }: { recoveryKey: string; onDone: () => void }) {
  const [problem, setProblem] = useState(false);
  const [copied, setCopied] = useState(false);
  const id = useId();
  const groups = recoveryKey.split('-');
  const last = groups.at(-1) ?? '';

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const typed = new FormData(event.currentTarget).get('group');
    if (typeof typed === 'string' && typed.trim().toUpperCase() === last.toUpperCase()) onDone();
    else setProblem(true);
  }

  async function copy() {
    await navigator.clipboard.writeText(recoveryKey);
    setCopied(true);
  }

  return (
    <form className="mt-4 space-y-4" onSubmit={submit} noValidate>
      <p className="text-muted">
        It opens the vault when the passphrase is lost. Write it down and keep it away from this computer.
      </p>
      <div className="rounded-lg border border-line bg-panel p-4">
        <p className="sr-only">Your recovery key</p>
        <p
          data-recovery-key
          className="grid grid-cols-3 gap-x-4 gap-y-1.5 text-center font-mono text-base tracking-wide select-all"
        >
          {groups.map((group, index) => (
            <span key={index}>
              {group}
              {index < groups.length - 1 && <span className="text-muted">-</span>}
            </span>
          ))}
        </p>
        <button type="button" className="button button-quiet button-small mt-3 w-full" onClick={() => void copy()}>
          {copied ? <Check size={14} aria-hidden="true" /> : <Copy size={14} aria-hidden="true" />}
          {copied ? 'Copied' : 'Copy it'}
        </button>
      </div>
      <Notice tone="warn">It is shown this once. Whoever has it can open your vault.</Notice>
      <div>
        <label htmlFor={id} className="mb-1.5 block font-medium">
          Type its last group to go on
        </label>
        <input
          id={id}
          name="group"
          className="field font-mono"
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          aria-invalid={problem || undefined}
          aria-describedby={problem ? `${id}-problem` : undefined}
        />
        {problem && (
          <p id={`${id}-problem`} role="alert" className="mt-1.5 text-[0.8125rem] text-bad">
            These are not the last {last.length} characters. Look at the key you wrote down.
          </p>
        )}
      </div>
      <button type="submit" className="button button-primary w-full">
        I have written it down
      </button>
    </form>
  );
}
