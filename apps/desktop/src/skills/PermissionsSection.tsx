import { Plus, ShieldAlert, ShieldCheck, X } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Notice } from '../components/Notice';
import { Problem } from '../components/Trouble';
import { skillsAllow, skillsAllowHost, skillsForgetHost, skillsPermissions, skillsRevoke } from '../core/api';
import { useCore } from '../core/context';
import type { PermissionsView, Wanted } from '../core/generated';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import { useAppSelector } from '../state/store';
import { Section } from './Section';

/** An address as `host` or `host:port`, in its parts. */
export function addressOf(text: string): { host: string; port: number | null } {
  const match = /^(.*):(\d{1,5})$/.exec(text.trim());
  return match?.[1] && match[2] ? { host: match[1], port: Number(match[2]) } : { host: text.trim(), port: null };
}

/** What a skill asks for, what it was given, and the hosts that the user adds. */
export function PermissionsSection({ skillId, onChanged }: { skillId: string; onChanged: () => void }) {
  const { transport } = useCore();
  const action = useAction();
  const stamp = useAppSelector((state) => state.app.socketAt);
  const { data, problem, take } = useLoaded(stamp, () => skillsPermissions(transport, { skill_id: skillId }));

  async function change(call: () => Promise<PermissionsView>) {
    const changed = await action.run(call);
    if (!changed) return;
    take(changed);
    onChanged();
  }

  const host = (text: string) => ({ skill_id: skillId, ...addressOf(text) });
  return (
    <Section title="Permissions">
      {problem && <Problem error={problem} />}
      {data && (
        <div className="space-y-4" data-allowed={data.allowed}>
          <Wishes view={data} />
          <Consent
            view={data}
            busy={action.busy}
            onAllow={() => void change(() => skillsAllow(transport, { skill_id: skillId, digest: data.digest }))}
            onRevoke={() => void change(() => skillsRevoke(transport, { skill_id: skillId }))}
          />
          <WantedHosts
            wanted={data.wanted}
            busy={action.busy}
            onAllow={(what) => void change(() => skillsAllowHost(transport, host(what)))}
          />
          <Hosts
            view={data}
            busy={action.busy}
            onAdd={(text) => void change(() => skillsAllowHost(transport, host(text)))}
            onForget={(text) => void change(() => skillsForgetHost(transport, host(text)))}
          />
          {action.problem && <Problem error={action.problem} />}
        </div>
      )}
    </Section>
  );
}

function Wishes({ view }: { view: PermissionsView }) {
  if (view.wishes.length === 0) {
    return <p className="text-muted">It asks for nothing: it computes, and keeps its own data.</p>;
  }
  return (
    <div>
      {!view.declared && (
        <p className="mb-2 text-muted">
          This skill is from before permissions existed. This is what its set-up says that it needs:
        </p>
      )}
      <ul className="space-y-1.5">
        {view.wishes.map((wish) => (
          <li key={wish.text} className="flex items-center gap-2" data-granted={wish.granted}>
            {wish.granted ? (
              <ShieldCheck size={15} aria-hidden="true" className="shrink-0 text-good" />
            ) : (
              <ShieldAlert size={15} aria-hidden="true" className="shrink-0 text-warn" />
            )}
            <span className="min-w-0 break-words">{wish.text}</span>
            <span className="ml-auto shrink-0 text-xs text-muted">{wish.granted ? 'allowed' : 'not allowed'}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Consent(props: { view: PermissionsView; busy: boolean; onAllow: () => void; onRevoke: () => void }) {
  const { view } = props;
  if (view.wishes.length === 0) return null;
  if (view.allowed) {
    return (
      <button type="button" className="button button-quiet" disabled={props.busy} onClick={props.onRevoke}>
        Take it all back
      </button>
    );
  }
  return (
    <div className="space-y-3">
      {view.changed && (
        <Notice tone="warn">
          The skill changed since you allowed it, so nothing is allowed any more. Look at what it asks for now.
        </Notice>
      )}
      <button type="button" className="button button-primary" disabled={props.busy} onClick={props.onAllow}>
        Allow this
      </button>
    </div>
  );
}

function WantedHosts(props: { wanted: Wanted[]; busy: boolean; onAllow: (what: string) => void }) {
  if (props.wanted.length === 0) return null;
  return (
    <div className="rounded-lg bg-warn-tint px-3 py-2.5 text-warn">
      <p className="font-medium">It was refused</p>
      <ul className="mt-1 space-y-1.5">
        {props.wanted.map(({ kind, what, host }) => (
          <li key={`${kind} ${what}`} className="flex items-center justify-between gap-3">
            <span className="min-w-0 break-all">{host ? what : `${kind.replaceAll('_', ' ')} ${what}`}</span>
            {host && (
              <button
                type="button"
                className="button button-quiet button-small shrink-0 bg-raised"
                disabled={props.busy}
                onClick={() => props.onAllow(what)}
              >
                Allow {what}
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Hosts(props: {
  view: PermissionsView;
  busy: boolean;
  onAdd: (text: string) => void;
  onForget: (text: string) => void;
}) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const added = [...props.view.hosts, ...props.view.private];

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const text = new FormData(event.currentTarget).get('host');
    if (typeof text !== 'string' || !text.trim()) return;
    props.onAdd(text);
    setOpen(false);
  }

  return (
    <div className="space-y-2">
      {added.length > 0 && (
        <>
          <p className="text-[0.8125rem] font-medium">Added by you</p>
          <ul className="flex flex-wrap gap-1.5" aria-label="Added hosts">
            {added.map((text) => (
              <li key={text} className="flex items-center gap-1 rounded-md bg-panel py-0.5 pr-1 pl-2 font-mono text-xs">
                {text}
                <button
                  type="button"
                  aria-label={`Take ${text} back`}
                  disabled={props.busy}
                  className="rounded p-0.5 text-muted hover:text-ink"
                  onClick={() => props.onForget(text)}
                >
                  <X size={12} aria-hidden="true" />
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      {open ? (
        <form className="flex flex-wrap items-end gap-2" onSubmit={submit} noValidate>
          <div className="min-w-56 flex-1">
            <label htmlFor={id} className="mb-1 block text-xs font-medium">
              Host, or address with its port for your own network
            </label>
            <input id={id} name="host" className="field field-small" placeholder="api.example.com" autoComplete="off" />
          </div>
          <button type="submit" className="button button-primary button-small" disabled={props.busy}>
            Allow the host
          </button>
        </form>
      ) : (
        <button type="button" className="button button-quiet button-small" onClick={() => setOpen(true)}>
          <Plus size={14} aria-hidden="true" />
          Allow another host
        </button>
      )}
    </div>
  );
}
