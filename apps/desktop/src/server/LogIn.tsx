import { Check, Copy } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Notice } from '../components/Notice';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { authLoginCancel, authLoginFinish, authLoginStart, socketConnect } from '../core/api';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { useCountdown } from '../hooks/useCountdown';
import { read } from '../vault/NewPassphrase';

/** A login that was begun here: where, with which code, and for how long its link is taken. */
interface Begun {
  url: string;
  challenge: string;
  from: number;
  ms: number;
}

/** The address of a server as typed, or what is wrong with it. */
function addressOf(form: HTMLFormElement): { url: string } | { problem: string } {
  const url = read(form, 'url').trim();
  return /^https?:\/\/[^\s/]+/.test(url) ? { url } : { problem: 'Type the server address, such as https://server.example.' };
}

/** Logs in at a server: with a link that only this device can use, or with a token. Stays while its attempt is under way. */
export function LogIn({ onAttempt }: { onAttempt: (underWay: boolean) => void }) {
  const [way, setWay] = useState<'link' | 'token'>('link');
  return (
    <div className="mt-3">
      <div role="group" aria-label="How to log in" className="flex gap-1 rounded-lg bg-panel p-1">
        {(
          [
            ['link', 'With a link'],
            ['token', 'With a login token'],
          ] as const
        ).map(([name, label]) => (
          <button
            key={name}
            type="button"
            aria-pressed={way === name}
            className="tab flex-1 justify-center aria-pressed:bg-raised aria-pressed:text-ink aria-pressed:shadow-card"
            onClick={() => setWay(name)}
          >
            {label}
          </button>
        ))}
      </div>
      <div className="mt-4">{way === 'link' ? <WithLink onAttempt={onAttempt} /> : <WithToken onAttempt={onAttempt} />}</div>
    </div>
  );
}

function Address({ problem }: { problem: string | undefined }) {
  const id = useId();
  return (
    <div>
      <label htmlFor={id} className="mb-1.5 block font-medium">
        Server address
      </label>
      <input
        id={id}
        name="url"
        type="url"
        className="field"
        placeholder="https://"
        autoComplete="off"
        aria-invalid={problem ? true : undefined}
        aria-describedby={problem ? `${id}-problem` : undefined}
      />
      {problem && (
        <p id={`${id}-problem`} role="alert" className="mt-1.5 text-[0.8125rem] text-bad">
          {problem}
        </p>
      )}
    </div>
  );
}

function WithLink({ onAttempt }: { onAttempt: (underWay: boolean) => void }) {
  const { transport, session } = useCore();
  const action = useAction();
  const [problem, setProblem] = useState<string>();
  const [begun, setBegun] = useState<Begun>();

  async function start(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const typed = addressOf(event.currentTarget);
    setProblem('problem' in typed ? typed.problem : undefined);
    if ('problem' in typed) return;
    const started = await action.run(() => authLoginStart(transport, { url: typed.url }));
    if (started) setBegun({ url: typed.url, challenge: started.challenge, from: Date.now(), ms: started.valid_ms });
  }

  async function finish(link: string): Promise<boolean> {
    onAttempt(true);
    const done = await action.run(() => authLoginFinish(transport, { link }));
    if (done !== undefined) {
      setBegun(undefined);
      await session.refresh();
    }
    onAttempt(false);
    return done !== undefined;
  }

  function cancel() {
    action.clear();
    setBegun(undefined);
    void action.run(() => authLoginCancel(transport));
  }

  if (begun) return <Waiting begun={begun} action={action} onLink={finish} onCancel={cancel} />;
  return (
    <form className="space-y-3" onSubmit={(event) => void start(event)} noValidate>
      <p className="text-muted">
        You get a code for this device, and the server answers with a link. Nobody else can use that link, and links that you
        did not ask for are not used.
      </p>
      <Address problem={problem} />
      {action.problem && <Problem error={action.problem} />}
      <button type="submit" className="button button-primary" disabled={action.busy}>
        {action.busy && <Spinner />}
        Start the login
      </button>
    </form>
  );
}

/** A login that was begun: its code, and the place for its link. */
function Waiting(props: {
  begun: Begun;
  action: ReturnType<typeof useAction>;
  onLink: (link: string) => Promise<boolean>;
  onCancel: () => void;
}) {
  const { begun, action } = props;
  const id = useId();
  const seconds = useCountdown({ from: begun.from, ms: begun.ms });
  const [copied, setCopied] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const link = read(form, 'link').trim();
    if (link && !(await props.onLink(link))) form.reset();
  }

  async function copy() {
    await navigator.clipboard.writeText(begun.challenge);
    setCopied(true);
  }

  if (seconds === 0) {
    return (
      <div className="space-y-3">
        <Notice tone="warn">Five minutes have passed, and the login ended. Nothing was changed.</Notice>
        <button type="button" className="button button-quiet" onClick={props.onCancel}>
          Start again
        </button>
      </div>
    );
  }
  return (
    <form className="space-y-4" onSubmit={(event) => void submit(event)} noValidate data-login="begun">
      <div>
        <p className="font-medium">1. Give this code to {begun.url}</p>
        <div className="mt-2 flex items-center gap-2 rounded-lg border border-line bg-panel p-3">
          <code data-challenge className="min-w-0 flex-1 font-mono text-[0.8125rem] break-all select-all">
            {begun.challenge}
          </code>
          <button type="button" className="button button-quiet button-small shrink-0" onClick={() => void copy()}>
            {copied ? <Check size={14} aria-hidden="true" /> : <Copy size={14} aria-hidden="true" />}
            {copied ? 'Copied' : 'Copy'}
          </button>
        </div>
      </div>
      <div>
        <label htmlFor={id} className="mb-1.5 block font-medium">
          2. Open the link that it answers with, or paste it here
        </label>
        <input
          id={id}
          name="link"
          type="password"
          className="field font-mono text-[0.8125rem]"
          placeholder="openhuman://auth?token="
          autoComplete="off"
          spellCheck={false}
        />
        <p className="mt-1.5 text-[0.8125rem] text-muted">
          It is taken for another{' '}
          <span className="tabular-nums">
            {Math.floor(seconds / 60)}:{String(seconds % 60).padStart(2, '0')}
          </span>
          , once.
        </p>
      </div>
      {action.problem && <Problem error={action.problem} />}
      <div className="flex gap-2">
        <button type="submit" className="button button-primary" disabled={action.busy}>
          {action.busy && <Spinner />}
          {action.busy ? 'Logging in' : 'Log in'}
        </button>
        <button type="button" className="button button-quiet" onClick={props.onCancel} disabled={action.busy}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function WithToken({ onAttempt }: { onAttempt: (underWay: boolean) => void }) {
  const { transport, session } = useCore();
  const action = useAction();
  const id = useId();
  const [problem, setProblem] = useState<{ url?: string; token?: string }>({});

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const typed = addressOf(form);
    const token = read(form, 'token').trim();
    if ('problem' in typed) {
      setProblem({ url: typed.problem });
      return;
    }
    if (!token) {
      setProblem({ token: 'Type the login token that the server gave you. It works once, for five minutes.' });
      return;
    }
    setProblem({});
    onAttempt(true);
    const connected = await action.run(() => socketConnect(transport, { url: typed.url, login_token: token }));
    if (connected !== undefined) {
      form.reset();
      await session.refresh();
    }
    onAttempt(false);
  }

  return (
    <form className="space-y-3" onSubmit={(event) => void submit(event)} noValidate>
      <Address problem={problem.url} />
      <div>
        <label htmlFor={id} className="mb-1.5 block font-medium">
          Login token
        </label>
        <input
          id={id}
          name="token"
          type="password"
          autoComplete="off"
          className="field"
          aria-invalid={problem.token ? true : undefined}
          aria-describedby={problem.token ? `${id}-problem` : undefined}
        />
        {problem.token && (
          <p id={`${id}-problem`} role="alert" className="mt-1.5 text-[0.8125rem] text-bad">
            {problem.token}
          </p>
        )}
      </div>
      {action.problem && <Problem error={action.problem} />}
      <button type="submit" className="button button-primary" disabled={action.busy}>
        {action.busy && <Spinner />}
        {action.busy ? 'Connecting' : 'Connect'}
      </button>
    </form>
  );
}
