import { Check, Copy } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Notice } from '../components/Notice';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { authOauthConnect, authOauthFinish, connectAccount } from '../core/api';
import { useCore } from '../core/context';
import type { ModeKind, ModeOverview } from '../core/generated';
import type { SetupAnswer, SetupInput } from '../core/types';
import { useAction } from '../hooks/useAction';
import { useAppSelector } from '../state/store';
import { Fields } from './Fields';
import { objectionsOf, problemsOf, valuesOf } from './fields';

const NAMES: Record<ModeKind, string> = {
  managed: 'Through your server',
  self_hosted: 'With your own application',
  text: 'With a token',
};

/** The ways to connect an account to a skill. What is entered rests in the vault; the skill sees a placeholder. */
export function ConnectAccount(props: { skillId: string; modes: ModeOverview[]; onDone: () => void }) {
  const [chosen, setChosen] = useState(0);
  const [done, setDone] = useState<string>();
  const id = useId();
  const mode = props.modes[chosen];
  if (!mode) return null;

  function connected(answer: SetupAnswer) {
    setDone(answer.message ?? 'The account is connected.');
    props.onDone();
  }

  return (
    <div className="space-y-4">
      {props.modes.length > 1 && (
        <div>
          <label htmlFor={id} className="mb-1 block font-medium">
            How to connect
          </label>
          <select
            id={id}
            className="field"
            value={chosen}
            onChange={(event) => {
              setChosen(Number(event.target.value));
              setDone(undefined);
            }}
          >
            {props.modes.map((each, index) => (
              <option key={index} value={index}>
                {each.label ?? NAMES[each.mode]}
              </option>
            ))}
          </select>
        </div>
      )}
      {mode.description && <p className="text-muted">{mode.description}</p>}
      {mode.mode === 'managed' ? (
        <Managed key={chosen} skillId={props.skillId} provider={mode.provider} onDone={connected} />
      ) : (
        <Entered key={chosen} skillId={props.skillId} mode={mode} onDone={connected} />
      )}
      {done && (
        <p role="status" className="text-good">
          {done}
        </p>
      )}
    </div>
  );
}

/** Either the inputs of the manifest, or one for a token. */
function inputsOf(mode: ModeOverview): SetupInput[] {
  if (mode.mode !== 'text') return mode.fields;
  return [
    {
      name: 'content',
      type: 'textarea',
      label: 'Token',
      description: mode.text_description,
      placeholder: mode.text_placeholder,
      required: true,
    },
  ];
}

function Entered(props: { skillId: string; mode: ModeOverview; onDone: (answer: SetupAnswer) => void }) {
  const { transport } = useCore();
  const action = useAction();
  const [problems, setProblems] = useState<Record<string, string>>({});
  const [general, setGeneral] = useState<string | null>(null);
  const inputs = inputsOf(props.mode);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const values = valuesOf(form, inputs);
    const found = problemsOf(inputs, values);
    setProblems(found);
    setGeneral(null);
    if (Object.keys(found).length > 0) return;
    const answer = await action.run(() => connectAccount(transport, props.skillId, props.mode.mode, values));
    if (!answer) return;
    if (answer.status === 'error') {
      const objections = objectionsOf(answer, inputs);
      setProblems(objections.fields);
      setGeneral(objections.general);
      return;
    }
    form.reset();
    props.onDone(answer);
  }

  return (
    <form className="space-y-4" onSubmit={(event) => void submit(event)} noValidate>
      <Fields inputs={inputs} problems={problems} />
      {general && <Notice tone="bad">{general}</Notice>}
      {action.problem && <Problem error={action.problem} />}
      <button type="submit" className="button button-primary" disabled={action.busy}>
        {action.busy && <Spinner />}
        {action.busy ? 'Connecting' : 'Connect the account'}
      </button>
    </form>
  );
}

/** The server holds the account: the user agrees in a browser and brings the link back. */
function Managed(props: { skillId: string; provider: string | null; onDone: (answer: SetupAnswer) => void }) {
  const { transport } = useCore();
  const action = useAction();
  const online = useAppSelector((state) => state.app.snapshot?.socket.status === 'connected');
  const [address, setAddress] = useState<string>();
  const [copied, setCopied] = useState(false);
  const id = useId();
  if (!online) {
    return <p className="text-muted">This way needs a server. Connect to one in the side panel first.</p>;
  }

  async function begin() {
    const params = { skill_id: props.skillId, provider: props.provider ?? props.skillId };
    const started = await action.run(() => authOauthConnect(transport, params));
    if (started) setAddress(started.url);
  }

  async function finish(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const link = new FormData(event.currentTarget).get('link');
    if (typeof link !== 'string') return;
    const answer = await action.run(() => authOauthFinish(transport, { link: link.trim() }));
    if (answer !== undefined) props.onDone((answer ?? {}));
  }

  return (
    <div className="space-y-4">
      {address ? (
        <>
          <div>
            <p className="font-medium">1. Open this address in your browser and agree there</p>
            <p className="mt-1 rounded-lg border border-line bg-panel p-2.5 font-mono text-xs break-all">{address}</p>
            <button
              type="button"
              className="button button-quiet button-small mt-2"
              onClick={() => void navigator.clipboard.writeText(address).then(() => setCopied(true))}
            >
              {copied ? <Check size={14} aria-hidden="true" /> : <Copy size={14} aria-hidden="true" />}
              {copied ? 'Copied' : 'Copy the address'}
            </button>
          </div>
          <form className="space-y-2" onSubmit={(event) => void finish(event)} noValidate>
            <label htmlFor={id} className="block font-medium">
              2. Paste the link that it ends with
            </label>
            <input id={id} name="link" className="field" autoComplete="off" placeholder="openhuman://oauth/…" />
            <button type="submit" className="button button-primary" disabled={action.busy}>
              {action.busy && <Spinner />}
              Finish
            </button>
          </form>
        </>
      ) : (
        <button type="button" className="button button-primary" disabled={action.busy} onClick={() => void begin()}>
          {action.busy && <Spinner />}
          Connect through the server
        </button>
      )}
      {action.problem && <Problem error={action.problem} />}
    </div>
  );
}
