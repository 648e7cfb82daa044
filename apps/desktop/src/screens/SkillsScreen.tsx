import { EgressTable } from '../skills/EgressTable';
import { Registry } from '../skills/Registry';
import { SkillList } from '../skills/SkillList';
import { SkillPage } from '../skills/SkillPage';
import { useAppDispatch } from '../state/store';
import { type View, viewOpened } from '../state/view';

const TABS = [
  ['installed', 'On this computer'],
  ['registry', 'Registry'],
  ['sent', 'What was sent'],
] as const;

/** The skills: those that are here, those of the registry, what all of them sent, and one of them in full. */
export function SkillsScreen({ view }: { view: Extract<View, { name: 'skills' | 'skill' }> }) {
  return (
    <div className="min-h-0 flex-1 overflow-y-auto px-6 py-6">
      {view.name === 'skill' ? <SkillPage key={view.skillId} skillId={view.skillId} /> : <Lists tab={view.tab} />}
    </div>
  );
}

function Lists({ tab }: { tab: (typeof TABS)[number][0] }) {
  const dispatch = useAppDispatch();
  return (
    <div className={`mx-auto space-y-4 ${tab === 'sent' ? 'max-w-5xl' : 'max-w-3xl'}`}>
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="text-lg font-semibold tracking-tight">Skills</h2>
        <nav aria-label="Skills" className="flex gap-1 rounded-lg bg-panel p-1">
          {TABS.map(([name, label]) => (
            <button
              key={name}
              type="button"
              aria-current={tab === name ? 'page' : undefined}
              className="tab"
              onClick={() => dispatch(viewOpened({ name: 'skills', tab: name }))}
            >
              {label}
            </button>
          ))}
        </nav>
      </div>
      {tab === 'installed' && <SkillList />}
      {tab === 'registry' && <Registry />}
      {tab === 'sent' && <EgressTable />}
    </div>
  );
}
