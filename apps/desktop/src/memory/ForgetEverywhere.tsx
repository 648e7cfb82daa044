import { Eraser } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Notice } from '../components/Notice';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { read } from '../vault/NewPassphrase';
import { type ForgetReport, type Forgotten, forgetEverywhere } from '../core/memory';

const WHAT: Record<Forgotten, string> = {
  phrase: 'Words, wherever they were said',
  person: 'A person',
  source: 'A source',
  skill: 'Everything of a skill',
};

/** Forgets something in documents, chats, facts and what is at hand, and says what is left. */
export function ForgetEverywhere() {
  const { transport, session } = useCore();
  const action = useAction();
  const id = useId();
  const [wish, setWish] = useState<{ what: Forgotten; text: string }>();
  const [report, setReport] = useState<ForgetReport>();

  function ask(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const what = (Object.keys(WHAT) as Forgotten[]).find((known) => known === read(form, 'what')) ?? 'phrase';
    const text = read(form, 'text').trim();
    setReport(undefined);
    if (text) setWish({ what, text });
  }

  async function forget() {
    if (!wish) return;
    const done = await action.run(() => forgetEverywhere(transport, wish.what, wish.text));
    setWish(undefined);
    if (done) setReport(done);
    await session.refresh();
  }

  return (
    <div className="space-y-4">
      <p className="text-muted">
        It is taken out of documents, chats, facts and what is at hand. What it stood in stays, without it. This cannot be undone.
      </p>
      <form className="flex flex-wrap gap-2" onSubmit={ask}>
        <label htmlFor={`${id}-what`} className="sr-only">
          What to forget
        </label>
        <select id={`${id}-what`} name="what" className="field w-auto">
          {Object.entries(WHAT).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <label htmlFor={`${id}-text`} className="sr-only">
          Its name or words
        </label>
        <input id={`${id}-text`} name="text" className="field w-auto min-w-48 flex-1" autoComplete="off" />
        <button type="submit" className="button button-quiet">
          <Eraser size={16} aria-hidden="true" />
          Forget…
        </button>
      </form>
      {wish && (
        <Notice tone="warn">
          <p>
            Forget <strong className="font-semibold break-words">{wish.text}</strong> everywhere, for good?
          </p>
          <div className="mt-3 flex gap-2">
            <button type="button" className="button button-danger button-small" disabled={action.busy} onClick={() => void forget()}>
              {action.busy && <Spinner size={14} />}
              Yes, forget it
            </button>
            <button type="button" className="button button-quiet button-small" onClick={() => setWish(undefined)}>
              No
            </button>
          </div>
        </Notice>
      )}
      {action.problem && <Problem error={action.problem} />}
      {report && <Outcome report={report} />}
    </div>
  );
}

function Outcome({ report }: { report: ForgetReport }) {
  const counts: [number, string][] = [
    [report.documents_removed, 'documents removed'],
    [report.documents_changed, 'documents changed'],
    [report.sessions_removed + report.session_lines, 'places in chats'],
    [report.facts, 'facts'],
    [report.working_items, 'things at hand'],
  ];
  const done = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return (
    <div className="space-y-3" data-forgotten>
      <Notice tone="good">
        {done.length > 0 ? `Forgotten: ${done.join(', ')}.` : 'Nothing was remembered of it.'}
        {report.left.length === 0 && ' A search of everything finds it nowhere.'}
      </Notice>
      {report.left.length > 0 && <Notice tone="bad">It is still in: {report.left.join(', ')}.</Notice>}
      {report.backups.length > 0 && (
        <Notice tone="warn">
          <p>These copies from before still hold it. Delete them when you need them no more:</p>
          <ul className="mt-1 list-disc pl-5">
            {report.backups.map((path) => (
              <li key={path} className="font-mono text-xs break-all">
                {path}
              </li>
            ))}
          </ul>
        </Notice>
      )}
    </div>
  );
}
