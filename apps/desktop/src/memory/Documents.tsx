import { Trash2 } from 'lucide-react';
import { useState } from 'react';
import { Problem } from '../components/Trouble';
import { useCore } from '../core/context';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import { useAppSelector } from '../state/store';
import { type DocumentInfo, deleteDocument, listDocuments, nameOf, sourceOf } from '../core/memory';

/** Everything that is remembered, the newest first, and the way to forget one of it. */
export function Documents() {
  const { transport, session } = useCore();
  const action = useAction();
  const stamp = useAppSelector((state) => state.app.socketAt);
  const { data, problem, reload } = useLoaded(stamp, () => listDocuments(transport));
  const [asked, setAsked] = useState<string>();

  async function forget(document: DocumentInfo) {
    await action.run(() => deleteDocument(transport, document));
    setAsked(undefined);
    reload();
    await session.refresh();
  }

  if (problem && !data) return <Problem error={problem} />;
  if (!data) return null;
  if (data.length === 0) {
    return <p className="text-muted">Nothing is remembered yet. Notes, files and what was said in chats appear here.</p>;
  }
  const newest = [...data].sort((one, other) => other.updated_ms - one.updated_ms);
  return (
    <div className="space-y-3">
      {action.problem && <Problem error={action.problem} />}
      <ul className="divide-y divide-line rounded-xl border border-line bg-raised">
        {newest.map((document) => (
          <li key={document.id} data-document={document.key} className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2.5">
            <div className="min-w-0 flex-1">
              <p className="truncate font-medium">{nameOf(document)}</p>
              <p className="truncate text-xs text-muted">
                {[sourceOf(document), day(document.updated_ms), passages(document.chunks)].join(' · ')}
              </p>
            </div>
            {asked === document.id ? (
              <div className="flex gap-2">
                <button
                  type="button"
                  className="button button-danger button-small"
                  disabled={action.busy}
                  onClick={() => void forget(document)}
                >
                  Forget it for good
                </button>
                <button type="button" className="button button-quiet button-small" onClick={() => setAsked(undefined)}>
                  Keep it
                </button>
              </div>
            ) : (
              <button
                type="button"
                className="button button-quiet button-small"
                aria-label={`Forget ${nameOf(document)}`}
                onClick={() => setAsked(document.id)}
              >
                <Trash2 size={14} aria-hidden="true" />
                Forget
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function day(ms: number): string {
  return new Date(ms).toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' });
}

function passages(count: number): string {
  return count === 1 ? '1 passage' : `${count} passages`;
}
