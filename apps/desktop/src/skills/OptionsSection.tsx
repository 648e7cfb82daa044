import { useId } from 'react';
import { Problem } from '../components/Trouble';
import { listOptions, setOption } from '../core/api';
import { useCore } from '../core/context';
import type { SkillOption } from '../core/types';
import { type Action, useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import { Section } from './Section';

/** What can be set in a running skill. A skill without options has no such section. */
export function OptionsSection({ skillId }: { skillId: string }) {
  const { transport } = useCore();
  const action = useAction();
  const { data, problem, reload } = useLoaded(skillId, () => listOptions(transport, skillId));
  if (!problem && !data?.length) return null;

  async function set(name: string, value: unknown) {
    await action.run(() => setOption(transport, skillId, name, value));
    // The skill decides what it took.
    reload();
  }

  return (
    <Section title="Options">
      {problem && <Problem error={problem} />}
      <div className="space-y-4">
        {data?.map((option) => (
          <Option
            // The skill's own value replaces what was typed.
            key={`${option.name} ${JSON.stringify(option.value)}`}
            option={option}
            action={action}
            onSet={(value) => void set(option.name, value)}
          />
        ))}
      </div>
      {action.problem && (
        <div className="mt-3">
          <Problem error={action.problem} />
        </div>
      )}
    </Section>
  );
}

function Option({ option, action, onSet }: { option: SkillOption; action: Action; onSet: (value: unknown) => void }) {
  const id = useId();
  const label = option.label ?? option.name;
  const note = option.description && (
    <p id={`${id}-note`} className="mt-0.5 text-[0.8125rem] text-muted">
      {option.description}
    </p>
  );
  const described = { id, disabled: action.busy, 'aria-describedby': option.description ? `${id}-note` : undefined };
  if (option.type === 'boolean') {
    return (
      <div>
        <div className="flex items-center gap-2">
          <input
            {...described}
            type="checkbox"
            checked={option.value === true}
            onChange={(event) => onSet(event.target.checked)}
            className="size-4 accent-accent"
          />
          <label htmlFor={id} className="font-medium">
            {label}
          </label>
        </div>
        {note}
      </div>
    );
  }
  const choices = option.options ?? [];
  return (
    <div>
      <label htmlFor={id} className="mb-1 block font-medium">
        {label}
      </label>
      {option.type === 'select' ? (
        <select
          {...described}
          className="field"
          value={String(choices.findIndex(({ value }) => value === option.value))}
          onChange={(event) => onSet(choices[Number(event.target.value)]?.value)}
        >
          {choices.every(({ value }) => value !== option.value) && <option value="-1">Choose…</option>}
          {choices.map(({ label: text }, index) => (
            <option key={index} value={index}>
              {text}
            </option>
          ))}
        </select>
      ) : (
        <form
          className="flex gap-2"
          onSubmit={(event) => {
            event.preventDefault();
            const text = new FormData(event.currentTarget).get('value');
            onSet(option.type === 'number' ? Number(text) : text);
          }}
        >
          <input
            {...described}
            name="value"
            className="field"
            autoComplete="off"
            inputMode={option.type === 'number' ? 'decimal' : undefined}
            defaultValue={['string', 'number'].includes(typeof option.value) ? String(option.value) : ''}
          />
          <button type="submit" className="button button-quiet" disabled={action.busy}>
            Set
          </button>
        </form>
      )}
      {note}
    </div>
  );
}
