import { useId } from 'react';
import type { SetupInput } from '../core/types';
import { kindOf } from './fields';

/** The inputs that a skill asks for, each with its label, what it is for, and what is wrong with it. */
export function Fields({ inputs, problems }: { inputs: SetupInput[]; problems: Record<string, string> }) {
  return inputs.map((input) => <Field key={input.name} input={input} problem={problems[input.name]} />);
}

function Field({ input, problem }: { input: SetupInput; problem: string | undefined }) {
  const id = useId();
  const label = input.label ?? input.name;
  const note = problem ?? input.description;
  const common = {
    id,
    name: input.name,
    required: input.required,
    'aria-invalid': problem ? (true as const) : undefined,
    'aria-describedby': note ? `${id}-note` : undefined,
  };
  const noteText = note && (
    <p
      id={`${id}-note`}
      role={problem ? 'alert' : undefined}
      className={`mt-1 text-[0.8125rem] ${problem ? 'text-bad' : 'text-muted'}`}
    >
      {note}
    </p>
  );
  if (kindOf(input) === 'boolean') {
    return (
      <div>
        <div className="flex items-center gap-2">
          <input {...common} type="checkbox" defaultChecked={input.default === true} className="size-4 accent-accent" />
          <label htmlFor={id} className="font-medium">
            {label}
          </label>
        </div>
        {noteText}
      </div>
    );
  }
  return (
    <div>
      <label htmlFor={id} className="mb-1 block font-medium">
        {label}
        {!input.required && <span className="font-normal text-muted"> (optional)</span>}
      </label>
      <Control input={input} common={common} />
      {noteText}
    </div>
  );
}

type Common = {
  id: string;
  name: string;
  required: boolean | undefined;
  'aria-invalid': true | undefined;
  'aria-describedby': string | undefined;
};

function Control({ input, common }: { input: SetupInput; common: Common }) {
  const preset = ['string', 'number'].includes(typeof input.default) ? String(input.default) : '';
  const placeholder = input.placeholder ?? undefined;
  const choices = input.options ?? [];
  switch (kindOf(input)) {
    case 'textarea':
      return <textarea {...common} rows={3} className="field" defaultValue={preset} placeholder={placeholder} />;
    case 'select': {
      const chosen = choices.findIndex(({ value }) => value === input.default);
      return (
        <select {...common} className="field" defaultValue={chosen >= 0 ? String(chosen) : ''}>
          <option value="">Choose…</option>
          {choices.map(({ label }, index) => (
            <option key={index} value={index}>
              {label}
            </option>
          ))}
        </select>
      );
    }
    case 'multiselect': {
      const chosen: unknown[] = Array.isArray(input.default) ? input.default : [];
      const picked = choices.flatMap(({ value }, index) => (chosen.includes(value) ? [String(index)] : []));
      return (
        <select {...common} multiple className="field" defaultValue={picked}>
          {choices.map(({ label }, index) => (
            <option key={index} value={index}>
              {label}
            </option>
          ))}
        </select>
      );
    }
    default: {
      const kind = kindOf(input);
      return (
        <input
          {...common}
          type={kind === 'password' ? 'password' : 'text'}
          inputMode={kind === 'number' ? 'decimal' : undefined}
          autoComplete="off"
          spellCheck={false}
          className="field"
          defaultValue={preset}
          placeholder={placeholder}
        />
      );
    }
  }
}
