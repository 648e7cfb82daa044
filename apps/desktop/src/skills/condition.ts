import type { SkillCondition, SkillOverview } from '../core/generated';

const WORDS: Record<SkillCondition, string> = {
  stopped: 'Stopped',
  starting: 'Starting',
  running: 'Running',
  stopping: 'Stopping',
  needs_setup: 'Needs set-up',
  quarantined: 'Quarantined',
  error: 'Failed',
};

const TONES: Record<SkillCondition, string> = {
  stopped: 'bg-line-strong',
  starting: 'bg-warn',
  running: 'bg-good',
  stopping: 'bg-warn',
  needs_setup: 'bg-warn',
  quarantined: 'bg-bad',
  error: 'bg-bad',
};

/** The state of a skill in words and as a colour. */
export function describeCondition({ condition }: Pick<SkillOverview, 'condition'>): { word: string; tone: string } {
  return { word: WORDS[condition], tone: TONES[condition] };
}

