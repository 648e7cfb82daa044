import { MessageSquare, Plus } from 'lucide-react';
import { type FormEvent, type ReactNode, useId, useState } from 'react';
import { memoryAdd } from '../core/api';
import { useCore } from '../core/context';
import type { MemoryState, ModelState, SkillState, Snapshot } from '../core/types';
import { threadOpened, threadStarted } from '../state/chat';
import { useAppDispatch, useAppSelector } from '../state/store';
import { viewOpened } from '../state/view';
import { toCoreError } from '../transport/types';
import { ServerSummary } from './Connection';
import { Notice } from './Notice';

/** The side panel: conversations, and what the assistant works with. */
export function SidePanel({ snapshot }: { snapshot: Snapshot }) {
  return (
    <div className="h-full space-y-6 overflow-y-auto px-4 py-4">
      <Threads />
      <Section title="Model">
        <Model model={snapshot.model} />
      </Section>
      <Section title="Skills" count={snapshot.skills.length}>
        <Skills skills={snapshot.skills} />
      </Section>
      <Section title="Memory">
        <Memory memory={snapshot.memory} />
      </Section>
      <Section title="Server">
        <ServerSummary socket={snapshot.socket} />
      </Section>
      <p className="text-xs text-muted">OpenHuman {snapshot.version}</p>
    </div>
  );
}

function Section({ title, count, children }: { title: string; count?: number; children: ReactNode }) {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <h2 id={id} className="mb-2 flex items-baseline justify-between text-xs font-semibold text-muted">
        {title}
        {count !== undefined && <span className="font-normal tabular-nums">{count}</span>}
      </h2>
      {children}
    </section>
  );
}

function Threads() {
  const dispatch = useAppDispatch();
  const { threads, activeId } = useAppSelector((state) => state.chat);
  const chatting = useAppSelector((state) => state.view.name === 'chat');
  return (
    <nav aria-label="Chats">
      <button
        type="button"
        className="button button-quiet mb-2 w-full justify-start bg-raised px-3"
        onClick={() => {
          dispatch(threadStarted());
          dispatch(viewOpened({ name: 'chat' }));
        }}
      >
        <Plus size={16} aria-hidden="true" />
        New chat
      </button>
      <ul className="space-y-0.5">
        {threads
          .filter((thread) => thread.turns.length > 0)
          .map((thread) => (
            <li key={thread.id}>
              <button
                type="button"
                aria-current={chatting && thread.id === activeId ? 'page' : undefined}
                onClick={() => {
                  dispatch(threadOpened(thread.id));
                  dispatch(viewOpened({ name: 'chat' }));
                }}
                className="flex w-full items-center gap-2 rounded-lg px-3 py-1.5 text-left hover:bg-line aria-[current]:bg-tint aria-[current]:font-medium"
              >
                <MessageSquare size={14} aria-hidden="true" className="shrink-0 text-muted" />
                <span className="truncate">{thread.turns[0]?.prompt}</span>
              </button>
            </li>
          ))}
      </ul>
    </nav>
  );
}

function Model({ model }: { model: ModelState }) {
  if (model.configured) {
    return (
      <p className="flex items-center gap-2 font-medium">
        <span aria-hidden="true" className="size-2 shrink-0 rounded-full bg-good" />
        <span className="min-w-0 break-words">{model.name}</span>
      </p>
    );
  }
  return (
    <div>
      <p className="font-medium">Extractive: no model connected</p>
      <p className="mt-1 text-[0.8125rem] text-muted">Answers are quotes from your memory, with their sources.</p>
      <details className="mt-2">
        <summary className="text-[0.8125rem] font-medium text-accent underline underline-offset-2">
          How to connect a model
        </summary>
        <div className="mt-2 space-y-2 text-[0.8125rem] text-muted">
          <p>Set these variables before OpenHuman starts:</p>
          <ul className="space-y-1">
            <li>
              <code className="font-mono text-xs text-ink">OPENAI_API_KEY</code>, your key
            </li>
            <li>
              <code className="font-mono text-xs text-ink">OPENAI_BASE_URL</code>, for any compatible provider
            </li>
            <li>
              <code className="font-mono text-xs text-ink">OPENAI_MODEL</code>, the model to use
            </li>
          </ul>
        </div>
      </details>
    </div>
  );
}

const SKILL_TONES: Record<SkillState['status'], string> = {
  pending: 'bg-line-strong',
  initializing: 'bg-warn',
  running: 'bg-good',
  stopping: 'bg-warn',
  stopped: 'bg-line-strong',
  error: 'bg-bad',
};

/** One word for people: a skill that runs but waits for its account says so. */
function skillStatus({ status, connection_status }: SkillState): { word: string; tone: string } {
  if (status === 'running' && connection_status !== 'connected') {
    return {
      word: connection_status.replaceAll('_', ' '),
      tone: connection_status === 'error' ? 'bg-bad' : 'bg-warn',
    };
  }
  return { word: status === 'pending' ? 'not started' : status, tone: SKILL_TONES[status] };
}

function Skills({ skills }: { skills: SkillState[] }) {
  if (skills.length === 0) {
    return <p className="text-[0.8125rem] text-muted">No skills are installed.</p>;
  }
  return (
    <ul className="space-y-2">
      {skills.map((skill) => (
        <Skill key={skill.skill_id} skill={skill} />
      ))}
    </ul>
  );
}

function Skill({ skill }: { skill: SkillState }) {
  const dispatch = useAppDispatch();
  const { word, tone } = skillStatus(skill);
  return (
    <li className="rounded-lg border border-line bg-raised px-3 py-2">
      <div className="flex items-center gap-2">
        <span aria-hidden="true" className={`size-2 shrink-0 rounded-full ${tone}`} />
        <h3 className="min-w-0 truncate font-medium">
          <button
            type="button"
            className="rounded hover:underline"
            onClick={() => dispatch(viewOpened({ name: 'skill', skillId: skill.skill_id }))}
          >
            {skill.name}
          </button>
        </h3>
        <span className="ml-auto shrink-0 text-xs text-muted">{word}</span>
      </div>
      {skill.error && <p className="mt-1 break-words text-xs text-bad">{skill.error}</p>}
      {skill.tools.length > 0 && (
        <ul aria-label={`Tools of ${skill.name}`} className="mt-1.5 flex flex-wrap gap-1">
          {skill.tools.map((tool) => (
            <li
              key={tool.name}
              title={tool.description}
              className="rounded bg-panel px-1.5 py-0.5 font-mono text-[0.6875rem] text-muted"
            >
              {tool.name}
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

function Memory({ memory }: { memory: MemoryState }) {
  return (
    <div className="space-y-2.5">
      <dl className="grid grid-cols-2 gap-2">
        <Counter label={memory.documents === 1 ? 'document' : 'documents'} value={memory.documents} />
        <Counter label={memory.chunks === 1 ? 'passage' : 'passages'} value={memory.chunks} />
      </dl>
      <AddNote />
    </div>
  );
}

function Counter({ label, value }: { label: string; value: number }) {
  return (
    <div className="flex flex-col-reverse rounded-lg border border-line bg-raised px-3 py-1.5">
      <dt className="text-xs text-muted">{label}</dt>
      <dd className="text-base font-semibold tabular-nums">{value.toLocaleString()}</dd>
    </div>
  );
}

function AddNote() {
  const { transport, session } = useCore();
  const [outcome, setOutcome] = useState<{ ok: boolean; text: string }>();
  const [busy, setBusy] = useState(false);
  const titleId = useId();
  const textId = useId();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    const title = data.get('title');
    const text = data.get('text');
    if (typeof title !== 'string' || typeof text !== 'string' || !title.trim() || !text.trim()) {
      setOutcome({ ok: false, text: 'A note needs a title and a text.' });
      return;
    }
    setBusy(true);
    try {
      await memoryAdd(transport, { title: title.trim(), text });
      form.reset();
      setOutcome({ ok: true, text: `“${title.trim()}” is in memory.` });
      await session.refresh();
    } catch (thrown) {
      setOutcome({ ok: false, text: toCoreError(thrown).message });
    } finally {
      setBusy(false);
    }
  }

  return (
    <details>
      <summary className="button button-quiet button-small">
        <Plus size={14} aria-hidden="true" />
        Add a note
      </summary>
      <form className="mt-3 space-y-2.5" onSubmit={(event) => void submit(event)} noValidate>
        <div>
          <label htmlFor={titleId} className="mb-1 block text-xs font-medium">
            Title
          </label>
          <input id={titleId} name="title" className="field field-small" autoComplete="off" />
        </div>
        <div>
          <label htmlFor={textId} className="mb-1 block text-xs font-medium">
            Text
          </label>
          <textarea id={textId} name="text" rows={4} className="field field-small resize-y" />
        </div>
        <button type="submit" className="button button-primary button-small" disabled={busy}>
          {busy ? 'Saving' : 'Save the note'}
        </button>
        {outcome &&
          (outcome.ok ? (
            <p role="status" className="text-xs text-good">
              {outcome.text}
            </p>
          ) : (
            <Notice tone="bad">{outcome.text}</Notice>
          ))}
      </form>
    </details>
  );
}
