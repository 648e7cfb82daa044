import { Search } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { Problem } from '../components/Trouble';
import { searchRegistry } from '../core/api';
import { useCore } from '../core/context';
import type { RegistrySkill } from '../core/types';
import { useLoaded } from '../hooks/useLoaded';
import { useAppDispatch } from '../state/store';
import { viewOpened } from '../state/view';
import { InstallPlan } from './InstallPlan';

/** The skills that the registry offers. */
export function Registry() {
  const { transport } = useCore();
  const [query, setQuery] = useState('');
  const { data, problem, reload } = useLoaded(query, () => searchRegistry(transport, query));
  const id = useId();

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const words = new FormData(event.currentTarget).get('words');
    setQuery(typeof words === 'string' ? words.trim() : '');
    reload();
  }

  return (
    <div className="space-y-4">
      <form role="search" className="flex gap-2" onSubmit={submit}>
        <label htmlFor={id} className="sr-only">
          Search the registry
        </label>
        <input id={id} name="words" type="search" className="field" placeholder="Search the registry" />
        <button type="submit" className="button button-quiet">
          <Search size={16} aria-hidden="true" />
          Search
        </button>
      </form>
      {problem && <Problem error={problem} />}
      {!data && !problem && <p className="text-muted">Asking the registry…</p>}
      {data?.length === 0 && <p className="text-muted">No skill in the registry matches.</p>}
      {data && data.length > 0 && (
        <ul className="divide-y divide-line overflow-hidden rounded-xl border border-line bg-raised">
          {data.map((skill) => (
            <Entry key={skill.id} skill={skill} onChanged={reload} />
          ))}
        </ul>
      )}
    </div>
  );
}

function Entry({ skill, onChanged }: { skill: RegistrySkill; onChanged: () => void }) {
  const dispatch = useAppDispatch();
  const [planning, setPlanning] = useState(false);
  const open = () => dispatch(viewOpened({ name: 'skill', skillId: skill.id }));
  return (
    <li className="space-y-3 px-4 py-3.5" data-entry={skill.id}>
      <div className="flex items-center gap-4">
        <div className="min-w-0 flex-1">
          <p className="flex flex-wrap items-baseline gap-x-2">
            <span className="font-medium">{skill.name}</span>
            {skill.version && <span className="text-xs text-muted tabular-nums">{skill.version}</span>}
            {skill.installed && (
              <span className="text-xs text-good">
                {skill.update_available ? `${skill.installed_version ?? 'an older version'} is installed` : 'installed'}
              </span>
            )}
          </p>
          {skill.description && <p className="text-[0.8125rem] text-muted">{skill.description}</p>}
          {skill.author && <p className="text-xs text-muted">by {skill.author}</p>}
        </div>
        {!planning && (!skill.installed || skill.update_available) && (
          <button type="button" className="button button-quiet" onClick={() => setPlanning(true)}>
            {skill.installed ? 'Update…' : 'Install…'}
            <span className="sr-only"> {skill.name}</span>
          </button>
        )}
        {!planning && skill.installed && !skill.update_available && (
          <button type="button" className="button button-quiet" onClick={open}>
            Open<span className="sr-only"> {skill.name}</span>
          </button>
        )}
      </div>
      {planning && (
        <InstallPlan
          skillId={skill.id}
          onCancel={() => setPlanning(false)}
          onInstalled={() => {
            setPlanning(false);
            onChanged();
            open();
          }}
        />
      )}
    </li>
  );
}
