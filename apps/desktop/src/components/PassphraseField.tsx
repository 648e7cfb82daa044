import { useId } from 'react';

/** A passphrase input with its label and, when there is one, the reason why it was refused. */
export function PassphraseField(props: {
  name: string;
  label: string;
  autoComplete: 'new-password' | 'current-password';
  visible: boolean;
  hint?: string;
  problem?: string | undefined;
  focused?: boolean;
}) {
  const id = useId();
  const noteId = `${id}-note`;
  const note = props.problem ?? props.hint;
  return (
    <div>
      <label htmlFor={id} className="mb-1.5 block font-medium">
        {props.label}
      </label>
      <input
        id={id}
        name={props.name}
        type={props.visible ? 'text' : 'password'}
        className="field"
        autoComplete={props.autoComplete}
        autoCapitalize="none"
        spellCheck={false}
        required
        aria-invalid={props.problem ? true : undefined}
        aria-describedby={note ? noteId : undefined}
        ref={props.focused ? focusOnce : undefined}
      />
      {note && (
        <p
          id={noteId}
          role={props.problem ? 'alert' : undefined}
          className={`mt-1.5 text-[0.8125rem] ${props.problem ? 'text-bad' : 'text-muted'}`}
        >
          {note}
        </p>
      )}
    </div>
  );
}

/** The only thing to do on these screens is to type, so the first field takes the focus. */
function focusOnce(input: HTMLInputElement | null): void {
  input?.focus();
}

/** The switch that shows what is being typed. */
export function ShowPassphrase({ visible, onChange }: { visible: boolean; onChange: (visible: boolean) => void }) {
  const id = useId();
  return (
    <div className="flex items-center gap-2">
      <input
        id={id}
        type="checkbox"
        checked={visible}
        onChange={(event) => onChange(event.target.checked)}
        className="size-4 accent-accent"
      />
      <label htmlFor={id} className="text-muted">
        Show the passphrase
      </label>
    </div>
  );
}
