import { skillsSwitch } from '../core/api';
import { useCore } from '../core/context';
import type { SkillOverview } from '../core/generated';
import type { Action } from '../hooks/useAction';

/** Switches a skill on or off: now, and for the next start of OpenHuman. */
export function SkillSwitch({ skill, action, onDone }: { skill: SkillOverview; action: Action; onDone: () => void }) {
  const { transport } = useCore();
  const on = skill.enabled;
  async function flip() {
    await action.run(() => skillsSwitch(transport, { skill_id: skill.skill_id, on: !on }));
    // Also after a failure: what was switched on stays on, and its reason is in the list.
    onDone();
  }
  return (
    <button
      type="button"
      role="switch"
      aria-checked={on}
      aria-label={`${skill.name} starts with OpenHuman`}
      disabled={action.busy}
      onClick={() => void flip()}
      className="switch"
    >
      <span aria-hidden="true" className="switch-knob" />
    </button>
  );
}
