import { Search as SearchIcon } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { read } from '../vault/NewPassphrase';
import { type Found, type Signals, nameOf, searchMemory, sourceOf } from '../core/memory';

/** Finds passages and says of each why it was found. */
export function Search() {
  const { transport } = useCore();
  const action = useAction();
  const id = useId();
  const [found, setFound] = useState<Found[]>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const query = read(event.currentTarget, 'query').trim();
    if (!query) return;
    const answer = await action.run(() => searchMemory(transport, query));
    if (answer) setFound(answer);
  }

  return (
    <div className="space-y-4">
      <form className="flex gap-2" role="search" onSubmit={(event) => void submit(event)}>
        <label htmlFor={id} className="sr-only">
          What to look for
        </label>
        <input id={id} name="query" type="search" className="field" placeholder="Ask in your own words" autoComplete="off" />
        <button type="submit" className="button button-primary h-auto shrink-0" disabled={action.busy}>
          {action.busy ? <Spinner /> : <SearchIcon size={16} aria-hidden="true" />}
          Search
        </button>
      </form>
      {action.problem && <Problem error={action.problem} />}
      {found && (
        <div role="status" className="sr-only">
          {found.length === 0 ? 'Nothing was found' : `${found.length} passages were found`}
        </div>
      )}
      {found?.length === 0 && <p className="text-muted">Nothing is remembered yet.</p>}
      {found && found.length > 0 && (
        <ol className="space-y-3" aria-label="Passages">
          {found.map((one) => (
            <Passage key={one.hit.chunk_id} found={one} />
          ))}
        </ol>
      )}
    </div>
  );
}

function Passage({ found: { hit, related } }: { found: Found }) {
  return (
    <li
      data-hit={hit.document_id}
      data-related={related}
      className={`rounded-xl border border-line bg-raised px-4 py-3 ${related ? '' : 'border-dashed'}`}
    >
      <div className="flex items-baseline gap-2">
        <h3 className="min-w-0 truncate font-semibold">{nameOf(hit)}</h3>
        <span className="min-w-0 truncate text-xs text-muted">{sourceOf(hit)}</span>
        <span className="ml-auto shrink-0 text-xs text-muted tabular-nums">
          <span className="sr-only">Score </span>
          {hit.score.toFixed(2)}
        </span>
      </div>
      {hit.heading.length > 0 && <p className="mt-0.5 text-xs text-muted">{hit.heading.join(' › ')}</p>}
      <p className="mt-1.5 line-clamp-4 break-words">{hit.text}</p>
      <p data-why className="mt-2 text-[0.8125rem] text-muted">
        {whyFound(hit.signals, related)}
      </p>
    </li>
  );
}

/** Says in words why a passage was found. */
export function whyFound(signals: Signals, related: boolean): string {
  const meaning =
    signals.vector >= 0.5 ? 'Its meaning is very near' : signals.vector >= 0.3 ? 'Its meaning is near' : 'Its meaning is far';
  const count = signals.matched_terms;
  const words = count === 0 ? 'none of your words occurs' : count === 1 ? 'one of your words occurs' : `${count} of your words occur`;
  const verdict = related ? '' : ' An answer would leave it out.';
  return `${meaning} (${signals.vector.toFixed(2)}), and ${words}.${verdict}`;
}
