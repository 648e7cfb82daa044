import { Minus, Plus } from 'lucide-react';
import { useId, useState } from 'react';
import { Notice } from '../components/Notice';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { skillsInstall, skillsPlan } from '../core/api';
import { useCore } from '../core/context';
import type { PlanView } from '../core/generated';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';

/** What installing or updating a skill means, and the user's decision about it. */
export function InstallPlan(props: { skillId: string; onInstalled: () => void; onCancel: () => void }) {
  const { transport } = useCore();
  const action = useAction();
  const [keyCompared, setKeyCompared] = useState(false);
  const id = useId();
  const { data: plan, problem } = useLoaded(props.skillId, () => skillsPlan(transport, { skill_id: props.skillId }));
  const keyChange = plan?.publisher === 'key_change';

  async function install(agreed: PlanView) {
    const params = {
      skill_id: agreed.skill_id,
      ...(agreed.needs_consent ? { consent: agreed.digest } : {}),
      ...(keyChange && agreed.key ? { accept_key: agreed.key } : {}),
    };
    if (await action.run(() => skillsInstall(transport, params))) props.onInstalled();
  }

  return (
    <div className="space-y-3 rounded-lg border border-line bg-panel p-4" data-plan={plan?.publisher}>
      {problem && <Problem error={problem} />}
      {!plan && !problem && (
        <p className="flex items-center gap-2 text-muted">
          <Spinner />
          Fetching the package
        </p>
      )}
      {plan && (
        <>
          <p className="font-medium">
            {plan.installed
              ? `Update ${plan.name} from ${plan.installed_version ?? 'the installed version'} to ${plan.version ?? 'the new one'}`
              : `Install ${plan.name} ${plan.version ?? ''}`}
          </p>
          <Notice tone={plan.publisher === 'refused' || keyChange ? 'bad' : 'warn'}>{plan.publisher_text}</Notice>
          {plan.older && <Notice tone="warn">This version is older than the installed one.</Notice>}
          <Changes plan={plan} />
          {keyChange && (
            <div className="flex items-start gap-2">
              <input
                id={id}
                type="checkbox"
                checked={keyCompared}
                onChange={(event) => setKeyCompared(event.target.checked)}
                className="mt-1 size-4 accent-accent"
              />
              <label htmlFor={id}>
                The publisher announced the new key <code className="font-mono text-xs">{plan.key}</code>, and I compared
                it
              </label>
            </div>
          )}
          {action.problem && <Problem error={action.problem} />}
        </>
      )}
      <div className="flex gap-2">
        {plan && plan.publisher !== 'refused' && (
          <button
            type="button"
            className="button button-primary"
            disabled={action.busy || (keyChange && !keyCompared)}
            onClick={() => void install(plan)}
          >
            {action.busy && <Spinner />}
            {labelOf(plan, action.busy)}
          </button>
        )}
        <button type="button" className="button button-quiet" onClick={props.onCancel} disabled={action.busy}>
          {plan?.publisher === 'refused' ? 'Close' : 'Cancel'}
        </button>
      </div>
    </div>
  );
}

function labelOf(plan: PlanView, busy: boolean): string {
  const update = plan.installed;
  if (busy) return update ? 'Updating' : 'Installing';
  if (plan.adds.length > 0) return update ? 'Allow and update' : 'Allow and install';
  return update ? 'Update' : 'Install';
}

function Changes({ plan }: { plan: PlanView }) {
  if (plan.adds.length === 0 && plan.removes.length === 0) {
    return (
      <p className="text-muted">
        {plan.installed ? 'It asks for the same as before.' : 'It asks for no permission.'}
      </p>
    );
  }
  return (
    <div>
      <p className="text-[0.8125rem] font-medium">{plan.installed ? 'What changes' : 'It asks to'}</p>
      <ul className="mt-1 space-y-1">
        {plan.adds.map((text) => (
          <li key={text} className="flex items-center gap-2">
            <Plus size={14} aria-hidden="true" className="shrink-0 text-warn" />
            {plan.installed && <span className="sr-only">new: </span>}
            {text}
          </li>
        ))}
        {plan.removes.map((text) => (
          <li key={text} className="flex items-center gap-2 text-muted">
            <Minus size={14} aria-hidden="true" className="shrink-0" />
            <span className="sr-only">no longer: </span>
            {text}
          </li>
        ))}
      </ul>
    </div>
  );
}
