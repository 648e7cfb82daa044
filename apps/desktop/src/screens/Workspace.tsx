import { Blocks, BookOpen, Cloud, MessageSquare, PanelLeft, Vault, X } from 'lucide-react';
import { useId, useState } from 'react';
import { ConnectionPill } from '../components/Connection';
import { Mark } from '../components/Mark';
import { Notice } from '../components/Notice';
import { SidePanel } from '../components/SidePanel';
import type { Snapshot } from '../core/types';
import { linkSeen } from '../state/app';
import { useAppDispatch, useAppSelector } from '../state/store';
import { type View, viewOpened } from '../state/view';
import { Chat } from './Chat';
import { MemoryScreen } from './MemoryScreen';
import { ServerScreen } from './ServerScreen';
import { SkillsScreen } from './SkillsScreen';
import { VaultScreen } from './VaultScreen';

/** The main screen: header, side panel and what was chosen. On a narrow window the panel covers the rest when asked for. */
export function Workspace({ snapshot }: { snapshot: Snapshot }) {
  const [panelOpen, setPanelOpen] = useState(false);
  const stale = useAppSelector((state) => state.app.error);
  const view = useAppSelector((state) => state.view);
  const panelId = useId();
  return (
    <div className="grid h-full grid-cols-[17rem_minmax(0,1fr)] grid-rows-[3.25rem_minmax(0,1fr)] max-md:grid-cols-1">
      <header className="col-span-full flex items-center gap-3 border-b border-line bg-panel px-4">
        <button
          type="button"
          className="button button-quiet size-8 p-0 md:hidden"
          aria-label="Side panel"
          aria-expanded={panelOpen}
          aria-controls={panelId}
          onClick={() => setPanelOpen(!panelOpen)}
        >
          <PanelLeft size={16} aria-hidden="true" />
        </button>
        <Mark size={24} />
        <h1 className="font-semibold tracking-tight max-sm:sr-only">OpenHuman</h1>
        <Places view={view} />
        <div className="ml-auto flex min-w-0 items-center gap-4">
          <span className="truncate text-[0.8125rem] text-muted max-lg:hidden" data-model={snapshot.model.configured}>
            {snapshot.model.configured ? snapshot.model.name : 'No model connected'}
          </span>
          <ConnectionPill socket={snapshot.socket} />
        </div>
      </header>
      <aside
        id={panelId}
        aria-label="Side panel"
        className={`min-h-0 border-r border-line bg-panel ${panelOpen ? '' : 'max-md:hidden'}`}
      >
        <SidePanel snapshot={snapshot} />
      </aside>
      <main className={`flex min-h-0 min-w-0 flex-col ${panelOpen ? 'max-md:hidden' : ''}`}>
        {stale && (
          <div className="px-6 pt-4">
            <Notice tone="bad">What you see may be out of date. {stale}</Notice>
          </div>
        )}
        <OpenedLink />
        <Main view={view} snapshot={snapshot} />
      </main>
    </div>
  );
}

function Main({ view, snapshot }: { view: View; snapshot: Snapshot }) {
  const thread = useAppSelector((state) => state.chat.threads.find(({ id }) => id === state.chat.activeId));
  switch (view.name) {
    case 'chat':
      return thread && <Chat key={thread.id} thread={thread} model={snapshot.model} />;
    case 'skills':
    case 'skill':
      return <SkillsScreen view={view} />;
    case 'memory':
      return <MemoryScreen tab={view.tab} />;
    case 'server':
      return <ServerScreen socket={snapshot.socket} />;
    case 'vault':
      return <VaultScreen />;
  }
}

/** What became of a link that the system handed over. */
function OpenedLink() {
  const dispatch = useAppDispatch();
  const link = useAppSelector((state) => state.app.link);
  if (!link) return null;
  const done = link.kind === 'login' ? 'You are logged in.' : 'The account is connected.';
  return (
    <div className="px-6 pt-4" data-opened-link={link.ok ? 'ok' : 'refused'}>
      <Notice tone={link.ok ? 'good' : 'bad'}>
        <div className="flex items-start gap-3">
          <p className="min-w-0 flex-1">{link.ok ? done : `The link was not used: ${link.message ?? 'no reason was given'}`}</p>
          <button type="button" aria-label="Close" onClick={() => dispatch(linkSeen())}>
            <X size={16} aria-hidden="true" />
          </button>
        </div>
      </Notice>
    </div>
  );
}

const PLACES = [
  { label: 'Chat', Icon: MessageSquare, opens: { name: 'chat' }, names: ['chat'] },
  { label: 'Skills', Icon: Blocks, opens: { name: 'skills', tab: 'installed' }, names: ['skills', 'skill'] },
  { label: 'Memory', Icon: BookOpen, opens: { name: 'memory', tab: 'search' }, names: ['memory'] },
  { label: 'Server', Icon: Cloud, opens: { name: 'server' }, names: ['server'] },
  { label: 'Vault', Icon: Vault, opens: { name: 'vault' }, names: ['vault'] },
] as const;

/** The way between the parts of the window. */
function Places({ view }: { view: View }) {
  const dispatch = useAppDispatch();
  return (
    <nav aria-label="Places" className="flex gap-1 sm:ml-4">
      {PLACES.map(({ label, Icon, opens, names }) => (
        <button
          key={label}
          type="button"
          aria-current={(names as readonly string[]).includes(view.name) ? 'page' : undefined}
          className="tab"
          onClick={() => dispatch(viewOpened(opens))}
        >
          <Icon size={15} aria-hidden="true" />
          <span className="max-lg:sr-only">{label}</span>
        </button>
      ))}
    </nav>
  );
}
