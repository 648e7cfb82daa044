import { Pin, PinOff, Plus } from 'lucide-react';
import { type FormEvent, useId } from 'react';
import { Problem } from '../components/Trouble';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import { read } from '../vault/NewPassphrase';
import { type Item, KINDS, type Kind, closeItem, listItems, pinItem, rememberItem } from '../core/memory';

const NAMES: Record<Kind, { one: string; many: string }> = {
  preference: { one: 'Preference', many: 'Preferences' },
  goal: { one: 'Goal', many: 'Goals' },
  constraint: { one: 'Constraint', many: 'Constraints' },
  entity: { one: 'Person or thing', many: 'People and things' },
};

/** What every answer has at hand: told by the user, or published by skills after a sync. */
export function AtHand() {
  const { transport } = useCore();
  const action = useAction();
  const { data, problem, reload } = useLoaded('items', () => listItems(transport));

  async function act(call: () => Promise<unknown>): Promise<boolean> {
    const done = await action.run(call);
    reload();
    return done !== undefined;
  }

  if (problem && !data) return <Problem error={problem} />;
  return (
    <div className="space-y-5">
      <p className="text-muted">Every answer knows this, whatever is asked. Skills add to it when they are synced.</p>
      <Add onAdd={(kind, text) => act(() => rememberItem(transport, kind, text))} busy={action.busy} />
      {action.problem && <Problem error={action.problem} />}
      {data?.length === 0 && <p className="text-muted">There is nothing at hand yet.</p>}
      {KINDS.map((kind) => (
        <Group key={kind} kind={kind} items={data?.filter((item) => item.kind === kind) ?? []} busy={action.busy} act={act} />
      ))}
    </div>
  );
}

function Group(props: { kind: Kind; items: Item[]; busy: boolean; act: (call: () => Promise<unknown>) => Promise<boolean> }) {
  const { transport } = useCore();
  const id = useId();
  if (props.items.length === 0) return null;
  return (
    <section aria-labelledby={id}>
      <h3 id={id} className="mb-2 text-[0.8125rem] font-semibold text-muted">
        {NAMES[props.kind].many}
      </h3>
      <ul className="divide-y divide-line rounded-xl border border-line bg-raised">
        {props.items.map((item) => (
          <li key={item.id} data-item={item.text} data-pinned={item.pinned} className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2.5">
            <div className="min-w-0 flex-1">
              <p className="break-words">{item.text}</p>
              <p className="text-xs text-muted">
                {item.origin === 'user' ? 'You said so' : `From ${item.origin}`}
                {item.evidence > 1 && `, ${item.evidence} times`}
              </p>
            </div>
            <button
              type="button"
              className="button button-quiet button-small"
              aria-label={`${item.pinned ? 'Unpin' : 'Pin'} ${item.text}`}
              disabled={props.busy}
              onClick={() => void props.act(() => pinItem(transport, item.id, !item.pinned))}
            >
              {item.pinned ? <PinOff size={14} aria-hidden="true" /> : <Pin size={14} aria-hidden="true" />}
              {item.pinned ? 'Unpin' : 'Pin'}
            </button>
            <button
              type="button"
              className="button button-quiet button-small"
              aria-label={`${item.text} is not so any more`}
              disabled={props.busy}
              onClick={() => void props.act(() => closeItem(transport, item.id))}
            >
              Not so any more
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Add({ onAdd, busy }: { onAdd: (kind: Kind, text: string) => Promise<boolean>; busy: boolean }) {
  const id = useId();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const text = read(form, 'text').trim();
    const kind = KINDS.find((known) => known === read(form, 'kind')) ?? 'preference';
    if (text && (await onAdd(kind, text))) form.reset();
  }

  return (
    <form className="flex flex-wrap gap-2" onSubmit={(event) => void submit(event)}>
      <label htmlFor={`${id}-kind`} className="sr-only">
        What it is
      </label>
      <select id={`${id}-kind`} name="kind" className="field w-auto">
        {KINDS.map((kind) => (
          <option key={kind} value={kind}>
            {NAMES[kind].one}
          </option>
        ))}
      </select>
      <label htmlFor={`${id}-text`} className="sr-only">
        What to have at hand
      </label>
      <input id={`${id}-text`} name="text" className="field w-auto min-w-48 flex-1" placeholder="Answers in metric units" autoComplete="off" />
      <button type="submit" className="button button-primary" disabled={busy}>
        <Plus size={16} aria-hidden="true" />
        Add
      </button>
    </form>
  );
}
