import { useId, useState } from 'react';
import { Problem } from '../components/Trouble';
import { skillsUninstall } from '../core/api';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { Section } from './Section';

/** Removes an installed skill, and asks what becomes of what it leaves behind. */
export function RemoveSkill({ skillId, name, onRemoved }: { skillId: string; name: string; onRemoved: () => void }) {
  const { transport } = useCore();
  const action = useAction();
  const [asked, setAsked] = useState(false);
  const [keepDocuments, setKeepDocuments] = useState(false);
  const [forgetData, setForgetData] = useState(false);

  async function remove() {
    const params = { skill_id: skillId, keep_documents: keepDocuments, forget_data: forgetData };
    if (await action.run(() => skillsUninstall(transport, params))) onRemoved();
  }

  return (
    <Section title="Remove">
      {asked ? (
        <div className="space-y-3">
          <p>
            {name} is stopped and removed. Its permissions are taken back and its accounts are forgotten.
          </p>
          <Choice
            label="Also delete its own data"
            hint="Its database and files. Without this they stay for the same publisher's skill."
            checked={forgetData}
            onChange={setForgetData}
          />
          <Choice
            label="Keep what it added to the memory"
            hint="Without this the assistant forgets what the skill told it."
            checked={keepDocuments}
            onChange={setKeepDocuments}
          />
          {action.problem && <Problem error={action.problem} />}
          <div className="flex gap-2">
            <button
              type="button"
              className="button button-danger"
              disabled={action.busy}
              onClick={() => void remove()}
            >
              {action.busy ? 'Removing' : 'Remove it'}
            </button>
            <button type="button" className="button button-quiet" onClick={() => setAsked(false)} disabled={action.busy}>
              Keep it
            </button>
          </div>
        </div>
      ) : (
        <button type="button" className="button button-quiet" onClick={() => setAsked(true)}>
          Remove {name}…
        </button>
      )}
    </Section>
  );
}

function Choice(props: { label: string; hint: string; checked: boolean; onChange: (checked: boolean) => void }) {
  const id = useId();
  return (
    <div className="flex items-start gap-2">
      <input
        id={id}
        type="checkbox"
        checked={props.checked}
        onChange={(event) => props.onChange(event.target.checked)}
        aria-describedby={`${id}-hint`}
        className="mt-1 size-4 accent-accent"
      />
      <div>
        <label htmlFor={id} className="font-medium">
          {props.label}
        </label>
        <p id={`${id}-hint`} className="text-[0.8125rem] text-muted">
          {props.hint}
        </p>
      </div>
    </div>
  );
}
