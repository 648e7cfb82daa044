import { type FormEvent, useState } from 'react';
import { Notice } from '../components/Notice';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { cancelSetup, startSetup, submitSetup } from '../core/api';
import { useCore } from '../core/context';
import type { SetupStep } from '../core/types';
import { useAction } from '../hooks/useAction';
import { Fields } from './Fields';
import { objectionsOf, problemsOf, valuesOf } from './fields';

type Stage =
  | { at: 'closed' }
  | { at: 'step'; step: SetupStep; number: number }
  | { at: 'none' }
  | { at: 'done'; message: string };

/** The set-up that a skill describes itself, step by step. What is entered goes to the skill and is kept nowhere here. */
export function SetupWizard(props: { skillId: string; label: string; primary: boolean; onDone: () => void }) {
  const { transport } = useCore();
  const action = useAction();
  const [stage, setStage] = useState<Stage>({ at: 'closed' });
  const [problems, setProblems] = useState<Record<string, string>>({});
  const [general, setGeneral] = useState<string | null>(null);

  function show(step: SetupStep, number: number) {
    setProblems({});
    setGeneral(null);
    setStage({ at: 'step', step, number });
  }

  async function begin() {
    const started = await action.run(async () => ({ step: await startSetup(transport, props.skillId) }));
    if (!started) return;
    if (started.step) show(started.step, 1);
    else setStage({ at: 'none' });
  }

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (stage.at !== 'step') return;
    const inputs = stage.step.fields ?? [];
    const values = valuesOf(event.currentTarget, inputs);
    const found = problemsOf(inputs, values);
    setProblems(found);
    setGeneral(null);
    if (Object.keys(found).length > 0) return;
    const answer = await action.run(() => submitSetup(transport, props.skillId, stage.step.id, values));
    if (!answer) return;
    if (answer.status === 'complete') {
      setStage({ at: 'done', message: answer.message ?? 'The set-up is complete.' });
      props.onDone();
    } else if (answer.status === 'next' && answer.nextStep) {
      show(answer.nextStep, stage.number + 1);
    } else {
      const objections = objectionsOf(answer, inputs);
      setProblems(objections.fields);
      setGeneral(objections.general);
    }
  }

  async function giveUp() {
    setStage({ at: 'closed' });
    // The skill hears that it was given up; that it did not listen changes nothing.
    await action.run(() => cancelSetup(transport, props.skillId));
    action.clear();
  }

  if (stage.at !== 'step') {
    return (
      <div className="space-y-3">
        {stage.at === 'done' && (
          <p role="status" className="text-good">
            {stage.message}
          </p>
        )}
        {stage.at === 'none' && <p role="status">This skill has no set-up of its own.</p>}
        {action.problem && <Problem error={action.problem} />}
        {stage.at !== 'none' && (
          <button
            type="button"
            className={`button ${props.primary ? 'button-primary' : 'button-quiet'}`}
            disabled={action.busy}
            onClick={() => void begin()}
          >
            {action.busy && <Spinner />}
            {props.label}
          </button>
        )}
      </div>
    );
  }
  const { step, number } = stage;
  return (
    // Another step is another form: nothing of the one before stays in its inputs.
    <form key={number} data-step={number} className="space-y-4" onSubmit={(event) => void submit(event)} noValidate>
      <div>
        <p className="text-xs text-muted">Step {number}</p>
        <h4 className="font-medium">{step.title ?? 'Set-up'}</h4>
        {step.description && <p className="text-muted">{step.description}</p>}
      </div>
      <Fields inputs={step.fields ?? []} problems={problems} />
      {general && <Notice tone="bad">{general}</Notice>}
      {action.problem && <Problem error={action.problem} />}
      <div className="flex gap-2">
        <button type="submit" className="button button-primary" disabled={action.busy}>
          {action.busy && <Spinner />}
          Continue
        </button>
        <button type="button" className="button button-quiet" disabled={action.busy} onClick={() => void giveUp()}>
          Cancel
        </button>
      </div>
    </form>
  );
}
