import { PassphraseField } from '../components/PassphraseField';

export const MIN_LENGTH = 8;

/** What is wrong with a new passphrase that was typed twice. */
export type PassphraseProblem = { field: 'passphrase' | 'repeat'; text: string };

/** Checks the two inputs of a form; the passphrase, or what is wrong with it. */
export function newPassphraseOf(form: HTMLFormElement): { passphrase: string } | { problem: PassphraseProblem } {
  const passphrase = read(form, 'passphrase');
  if ([...passphrase].length < MIN_LENGTH) {
    return { problem: { field: 'passphrase', text: `Use at least ${MIN_LENGTH} characters.` } };
  }
  if (read(form, 'repeat') !== passphrase) {
    return { problem: { field: 'repeat', text: 'The two passphrases are not the same.' } };
  }
  return { passphrase };
}

/** A text of a form; empty when there is none. */
export function read(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === 'string' ? value : '';
}

/** The two inputs of a new passphrase. */
export function NewPassphrase(props: {
  label: string;
  visible: boolean;
  problem: PassphraseProblem | undefined;
  focused?: boolean;
}) {
  return (
    <>
      <PassphraseField
        name="passphrase"
        label={props.label}
        autoComplete="new-password"
        visible={props.visible}
        hint="Four or more unrelated words are easy to remember and hard to guess."
        problem={props.problem?.field === 'passphrase' ? props.problem.text : undefined}
        focused={props.focused ?? false}
      />
      <PassphraseField
        name="repeat"
        label={`Repeat the ${props.label.toLowerCase()}`}
        autoComplete="new-password"
        visible={props.visible}
        problem={props.problem?.field === 'repeat' ? props.problem.text : undefined}
      />
    </>
  );
}
