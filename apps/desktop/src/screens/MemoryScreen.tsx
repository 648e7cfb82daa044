import { AtHand } from '../memory/AtHand';
import { Documents } from '../memory/Documents';
import { ForgetEverywhere } from '../memory/ForgetEverywhere';
import { Search } from '../memory/Search';
import { useAppDispatch } from '../state/store';
import { type View, viewOpened } from '../state/view';

const TABS = [
  ['search', 'Search'],
  ['documents', 'Documents'],
  ['hand', 'At hand'],
  ['forget', 'Forget'],
] as const;

/** The memory: what it finds and why, what is in it, what is always at hand, and how something is forgotten. */
export function MemoryScreen({ tab }: { tab: Extract<View, { name: 'memory' }>['tab'] }) {
  const dispatch = useAppDispatch();
  return (
    <div role="region" aria-label="The memory" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto px-6 py-6">
      <div className="mx-auto max-w-3xl space-y-5">
        <div className="flex flex-wrap items-center justify-between gap-3">
          <h2 className="text-lg font-semibold tracking-tight">Memory</h2>
          <nav aria-label="Memory" className="flex gap-1 rounded-lg bg-panel p-1">
            {TABS.map(([name, label]) => (
              <button
                key={name}
                type="button"
                aria-current={tab === name ? 'page' : undefined}
                className="tab"
                onClick={() => dispatch(viewOpened({ name: 'memory', tab: name }))}
              >
                {label}
              </button>
            ))}
          </nav>
        </div>
        {tab === 'search' && <Search />}
        {tab === 'documents' && <Documents />}
        {tab === 'hand' && <AtHand />}
        {tab === 'forget' && <ForgetEverywhere />}
      </div>
    </div>
  );
}
