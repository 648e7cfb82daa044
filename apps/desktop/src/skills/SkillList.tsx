import { ChevronRight } from 'lucide-react';
import { Notice } from '../components/Notice';
import { Problem } from '../components/Trouble';
import { skillsOverview } from '../core/api';
import { useCore } from '../core/context';
import type { SkillOverview } from '../core/generated';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import { useAppDispatch, useAppSelector } from '../state/store';
import { viewOpened } from '../state/view';
import { SkillSwitch } from './SkillSwitch';
import { describeCondition } from './condition';

/** The skills of this home, with what they are doing. */
export function SkillList() {
  const { transport } = useCore();
  const dispatch = useAppDispatch();
  // Every change of a skill brings a new snapshot.
  const stamp = useAppSelector((state) => state.app.socketAt);
  const { data, problem, reload } = useLoaded(stamp, () => skillsOverview(transport));
  if (problem) return <Problem error={problem} />;
  if (!data) return <p className="text-muted">Looking at the skills…</p>;
  return (
    <div className="space-y-4">
      {data.problems.map(({ path, error }) => (
        <Notice key={path} tone="bad">
          <p className="font-semibold">A package cannot be loaded</p>
          <p className="break-words">{error}</p>
          <p className="mt-1 text-xs break-all">{path}</p>
        </Notice>
      ))}
      {data.skills.length === 0 ? (
        <div className="rounded-xl border border-line bg-raised p-8 text-center">
          <p className="font-medium">No skills yet</p>
          <p className="mt-1 text-muted">Skills give the assistant hands: tools that run confined on this computer.</p>
          <button
            type="button"
            className="button button-primary mt-4"
            onClick={() => dispatch(viewOpened({ name: 'skills', tab: 'registry' }))}
          >
            Look at the registry
          </button>
        </div>
      ) : (
        <ul className="divide-y divide-line overflow-hidden rounded-xl border border-line bg-raised">
          {data.skills.map((skill) => (
            <SkillRow key={skill.skill_id} skill={skill} onChanged={reload} />
          ))}
        </ul>
      )}
    </div>
  );
}

function SkillRow({ skill, onChanged }: { skill: SkillOverview; onChanged: () => void }) {
  const dispatch = useAppDispatch();
  const action = useAction();
  const { word, tone } = describeCondition(skill);
  const reason = skill.reason ?? (skill.asks && !skill.allowed ? 'It was not allowed what it asks for yet.' : null);
  return (
    <li data-skill={skill.skill_id} data-condition={skill.condition} className="flex items-center gap-4 px-4 py-3.5">
      <button
        type="button"
        className="group flex min-w-0 flex-1 items-center gap-3 rounded-md text-left"
        onClick={() => dispatch(viewOpened({ name: 'skill', skillId: skill.skill_id }))}
      >
        <span className="min-w-0 flex-1">
          <span className="flex flex-wrap items-baseline gap-x-2">
            <span className="font-medium group-hover:underline">{skill.name}</span>
            {skill.version && <span className="text-xs text-muted tabular-nums">{skill.version}</span>}
          </span>
          {skill.description && <span className="block truncate text-[0.8125rem] text-muted">{skill.description}</span>}
          {reason && (
            <span className={`mt-0.5 block text-[0.8125rem] ${toneOfReason(skill)}`} data-reason>
              {reason}
            </span>
          )}
          {action.problem && !skill.reason && (
            <span role="alert" className="mt-0.5 block text-[0.8125rem] text-bad">
              {action.problem.message}
            </span>
          )}
        </span>
        <span className="flex shrink-0 items-center gap-2 text-[0.8125rem] text-muted">
          <span aria-hidden="true" className={`size-2 rounded-full ${tone}`} />
          {word}
          <ChevronRight size={16} aria-hidden="true" />
        </span>
      </button>
      <SkillSwitch skill={skill} action={action} onDone={onChanged} />
    </li>
  );
}

function toneOfReason({ condition }: SkillOverview): string {
  return condition === 'error' || condition === 'quarantined' ? 'line-clamp-2 break-words text-bad' : 'text-warn';
}
