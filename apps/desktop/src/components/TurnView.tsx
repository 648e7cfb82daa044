import { RotateCw } from 'lucide-react';
import { type Turn, isActive } from '../state/chat';
import { useAppSelector } from '../state/store';
import { Markdown } from './Markdown';
import { Mark } from './Mark';
import { Notice } from './Notice';
import { Sources } from './Sources';
import { ToolCardView } from './ToolCardView';

/** One prompt and its answer. */
export function TurnView({ turn, onRetry }: { turn: Turn; onRetry: () => void }) {
  const retry = (
    <button type="button" className="button button-quiet button-small" onClick={onRetry}>
      <RotateCw size={14} aria-hidden="true" />
      Try again
    </button>
  );
  return (
    <article className="space-y-5">
      <div className="flex justify-end">
        <h2 className="sr-only">You</h2>
        <p
          data-role="user"
          className="max-w-[85%] rounded-2xl rounded-br-md bg-tint px-4 py-2.5 break-words whitespace-pre-wrap"
        >
          {turn.prompt}
        </p>
      </div>
      <div className="flex gap-3.5">
        <div className="pt-0.5">
          <Mark size={24} />
        </div>
        <div data-role="assistant" data-status={turn.status} className="min-w-0 flex-1 space-y-3 pt-0.5">
          <h2 className="sr-only">OpenHuman</h2>
          {turn.notices.map((notice) => (
            <Notice key={notice} tone="warn">
              {notice}
            </Notice>
          ))}
          <Parts turn={turn} />
          {turn.sources.length > 0 && <Sources sources={turn.sources} />}
          {turn.status === 'stopped' && (
            <div className="flex items-center gap-3">
              <p className="text-[0.8125rem] text-muted">You stopped this answer.</p>
              {retry}
            </div>
          )}
          {turn.status === 'failed' && (
            <div className="space-y-2.5">
              <Notice tone="bad">{turn.error}</Notice>
              {retry}
            </div>
          )}
        </div>
      </div>
    </article>
  );
}

function Parts({ turn }: { turn: Turn }) {
  const cards = useAppSelector((state) => state.tools.cards);
  const last = turn.parts.at(-1);
  const waiting =
    isActive(turn) && (!last || (last.kind === 'tool' && cards[last.cardId]?.status !== 'running'));
  return (
    <>
      {turn.parts.map((part, index) => {
        if (part.kind === 'text') return <Markdown key={`text-${index}`} text={part.text} />;
        const card = cards[part.cardId];
        return card && <ToolCardView key={card.id} card={card} />;
      })}
      {waiting && (
        <div aria-hidden="true" className="flex h-6 items-center gap-1.5">
          {[0, 150, 300].map((delay) => (
            <span
              key={delay}
              style={{ animationDelay: `${delay}ms` }}
              className="size-1.5 animate-pulse rounded-full bg-muted"
            />
          ))}
        </div>
      )}
    </>
  );
}
