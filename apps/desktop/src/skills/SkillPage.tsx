import { ArrowLeft } from 'lucide-react';
import { Notice } from '../components/Notice';
import { Problem } from '../components/Trouble';
import { skillsDisconnect, skillsLiftQuarantine, skillsOverview } from '../core/api';
import { useCore } from '../core/context';
import type { SkillOverview } from '../core/generated';
import { type Action, useAction } from '../hooks/useAction';
import { useCountdown } from '../hooks/useCountdown';
import { useLoaded } from '../hooks/useLoaded';
import { useAppDispatch, useAppSelector } from '../state/store';
import { viewOpened } from '../state/view';
import { ConnectAccount } from './ConnectAccount';
import { EgressTable } from './EgressTable';
import { OptionsSection } from './OptionsSection';
import { PermissionsSection } from './PermissionsSection';
import { RemoveSkill } from './RemoveSkill';
import { Section } from './Section';
import { SetupWizard } from './SetupWizard';
import { SkillSwitch } from './SkillSwitch';
import { describeCondition } from './condition';

/** One skill: what it is doing, its set-up, what it may do, and what it did. */
export function SkillPage({ skillId }: { skillId: string }) {
  const { transport, session } = useCore();
  const dispatch = useAppDispatch();
  const action = useAction();
  const stamp = useAppSelector((state) => state.app.socketAt);
  const { data, problem, reload } = useLoaded(stamp, () => skillsOverview(transport));
  const skill = data?.skills.find(({ skill_id }) => skill_id === skillId);
  const back = () => dispatch(viewOpened({ name: 'skills', tab: 'installed' }));
  const changed = () => {
    reload();
    void session.refresh();
  };
  return (
    <div className="mx-auto max-w-3xl space-y-4">
      <button type="button" className="button button-quiet button-small" onClick={back}>
        <ArrowLeft size={14} aria-hidden="true" />
        All skills
      </button>
      {problem && <Problem error={problem} />}
      {data && !skill && <p>This skill is not here any more.</p>}
      {skill && (
        <>
          <Head skill={skill} action={action} onChanged={changed} />
          <SetupSection skill={skill} onChanged={changed} />
          <PermissionsSection skillId={skillId} onChanged={changed} />
          {skill.awake && <OptionsSection skillId={skillId} />}
          <Tools skill={skill} />
          <Section title="What it sent">
            <EgressTable skillId={skillId} />
          </Section>
          {skill.origin.installed && (
            <RemoveSkill
              skillId={skillId}
              name={skill.name}
              onRemoved={() => {
                void session.refresh();
                back();
              }}
            />
          )}
        </>
      )}
    </div>
  );
}

function Head({ skill, action, onChanged }: { skill: SkillOverview; action: Action; onChanged: () => void }) {
  const { transport } = useCore();
  const { word, tone } = describeCondition(skill);
  async function lift() {
    await action.run(() => skillsLiftQuarantine(transport, { skill_id: skill.skill_id }));
    onChanged();
  }
  return (
    <header className="space-y-3" data-skill={skill.skill_id} data-condition={skill.condition}>
      <div className="flex items-center gap-4">
        <div className="min-w-0 flex-1">
          <h2 className="text-lg font-semibold tracking-tight">{skill.name}</h2>
          <p className="text-[0.8125rem] text-muted">
            {skill.skill_id}
            {skill.version && ` · ${skill.version}`}
            {' · '}
            {skill.origin.installed
              ? skill.origin.key
                ? `signed with ${skill.origin.key}`
                : 'not signed'
              : 'from a folder of your own'}
          </p>
        </div>
        <span className="flex items-center gap-2 text-[0.8125rem] text-muted">
          <span aria-hidden="true" className={`size-2 rounded-full ${tone}`} />
          {word}
        </span>
        <SkillSwitch skill={skill} action={action} onDone={onChanged} />
      </div>
      {skill.description && <p>{skill.description}</p>}
      {skill.reason && (
        <Notice tone={skill.condition === 'needs_setup' ? 'warn' : 'bad'}>
          <p className="break-words whitespace-pre-wrap">{skill.reason}</p>
          {skill.condition === 'quarantined' && (
            <div className="mt-2 flex items-center gap-3">
              <button
                type="button"
                className="button button-quiet button-small"
                disabled={action.busy}
                onClick={() => void lift()}
              >
                Start it now
              </button>
              <Remaining until={skill.quarantined_until_ms} />
            </div>
          )}
        </Notice>
      )}
      {action.problem && !skill.reason && <Problem error={action.problem} />}
    </header>
  );
}

/** How long a quarantine still lasts. */
function Remaining({ until }: { until: number | null }) {
  const seconds = useCountdown(until === null ? null : { from: 0, ms: until });
  if (seconds === 0) return null;
  const minutes = Math.floor(seconds / 60);
  return (
    <span aria-hidden="true" className="text-xs tabular-nums">
      It starts by itself in {minutes > 0 && `${minutes} min `}
      {seconds % 60} s
    </span>
  );
}

function SetupSection({ skill, onChanged }: { skill: SkillOverview; onChanged: () => void }) {
  const { setup } = skill;
  if (!skill.awake) {
    if (!setup.required && setup.modes.length === 0) return null;
    return (
      <Section title="Set-up">
        <p className="text-muted">Switch the skill on to set it up.</p>
      </Section>
    );
  }
  return (
    <Section title="Set-up" aside={setup.complete && setup.required ? <span className="text-good">done</span> : null}>
      <div className="space-y-4 [&>*+*]:border-t [&>*+*]:border-line [&>*+*]:pt-4">
        {setup.modes.length > 0 && (
          <ConnectAccount skillId={skill.skill_id} modes={setup.modes} onDone={onChanged} />
        )}
        <SetupWizard
          skillId={skill.skill_id}
          label={setup.label ?? (setup.complete && setup.required ? 'Set it up again' : 'Set it up')}
          primary={setup.required && !setup.complete && setup.modes.length === 0}
          onDone={onChanged}
        />
        {setup.modes.length > 0 && <Disconnect skill={skill} onChanged={onChanged} />}
      </div>
    </Section>
  );
}

function Disconnect({ skill, onChanged }: { skill: SkillOverview; onChanged: () => void }) {
  const { transport } = useCore();
  const action = useAction();
  async function disconnect() {
    await action.run(() => skillsDisconnect(transport, { skill_id: skill.skill_id }));
    onChanged();
  }
  return (
    <div>
      <button
        type="button"
        className="button button-quiet button-small"
        disabled={action.busy}
        onClick={() => void disconnect()}
      >
        Disconnect and forget its accounts
      </button>
      {action.problem && <Problem error={action.problem} />}
    </div>
  );
}

function Tools({ skill }: { skill: SkillOverview }) {
  if (skill.tools.length === 0) return null;
  return (
    <Section title="Tools">
      <ul className="space-y-2">
        {skill.tools.map((tool) => (
          <li key={tool.name}>
            <span className="font-mono text-[0.8125rem] font-medium">{tool.name}</span>
            {tool.description && <p className="text-[0.8125rem] text-muted">{tool.description}</p>}
          </li>
        ))}
      </ul>
    </Section>
  );
}
