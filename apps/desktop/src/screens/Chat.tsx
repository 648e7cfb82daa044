import { useEffect, useLayoutEffect, useRef } from 'react';
import { Composer } from '../components/Composer';
import { Mark } from '../components/Mark';
import { TurnView } from '../components/TurnView';
import { useCore } from '../core/context';
import { retryTurn, sendPrompt, stopTurn } from '../core/turn';
import type { ModelState } from '../core/types';
import { type Thread, type Turn, isActive } from '../state/chat';
import { type ToolCard, splitToolName } from '../state/tools';
import { useAppDispatch, useAppSelector } from '../state/store';

/** One conversation with its input. */
export function Chat({ thread, model }: { thread: Thread; model: ModelState }) {
  const dispatch = useAppDispatch();
  const { session } = useCore();
  // What was said is remembered, so the counters of the memory change with each turn.
  const follow = (turn: Promise<void>) => void turn.then(() => session.refresh());
  const last = thread.turns.at(-1);
  const running = isActive(last);
  const scroller = useStickToEnd(thread);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div
        ref={scroller}
        role="log"
        aria-label="Conversation"
        aria-busy={running}
        tabIndex={0}
        className="min-h-0 flex-1 overflow-y-auto px-6 -outline-offset-2"
      >
        {thread.turns.length === 0 ? (
          <Welcome model={model} />
        ) : (
          <div className="mx-auto max-w-3xl space-y-8 py-8">
            {thread.turns.map((turn) => (
              <TurnView
                key={turn.id}
                turn={turn}
                onRetry={() => follow(dispatch(retryTurn({ threadId: thread.id, turnId: turn.id })))}
              />
            ))}
          </div>
        )}
      </div>
      <Announcer turn={last} />
      <div className="px-6 pb-5">
        <Composer
          running={running}
          stopping={last?.status === 'stopping'}
          onSend={(prompt) => follow(dispatch(sendPrompt(thread.id, prompt)))}
          onStop={() => {
            if (last) void dispatch(stopTurn({ threadId: thread.id, turnId: last.id }));
          }}
        />
      </div>
    </div>
  );
}

function Welcome({ model }: { model: ModelState }) {
  return (
    <div className="flex h-full flex-col items-center justify-center py-8 text-center">
      <Mark size={48} />
      <h2 className="mt-4 text-lg font-semibold tracking-tight">What is on your mind?</h2>
      <p className="mt-1.5 max-w-md text-muted">
        {model.configured
          ? 'Answers draw on your memory and can use the tools of your skills.'
          : 'No model is connected yet, so answers are quotes from your memory with their sources.'}
      </p>
    </div>
  );
}

/** Tells screen readers what happens, in whole steps instead of word by word. */
function Announcer({ turn }: { turn: Turn | undefined }) {
  const cards = useAppSelector((state) => state.tools.cards);
  return (
    <p role="status" className="sr-only">
      {turn && announcementOf(turn, cards)}
    </p>
  );
}

function announcementOf(turn: Turn, cards: Record<string, ToolCard>): string {
  switch (turn.status) {
    case 'running': {
      const card = turn.parts.map((part) => (part.kind === 'tool' ? cards[part.cardId] : undefined)).at(-1);
      return card?.status === 'running' ? `Using the tool ${splitToolName(card.name).tool}` : 'Answering';
    }
    case 'stopping':
      return 'Stopping';
    case 'done':
      return 'The answer is complete';
    case 'stopped':
      return 'Stopped';
    case 'failed':
      return 'The answer failed';
  }
}

/** How close to the end, in pixels, still counts as reading along. */
const NEAR_END = 80;

/** Keeps the newest text in view, unless the reader has scrolled up. */
function useStickToEnd(content: unknown) {
  const scroller = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const onScroll = () => {
      following.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => element.removeEventListener('scroll', onScroll);
  }, []);
  const cards = useAppSelector((state) => state.tools.cards);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element && following.current) element.scrollTop = element.scrollHeight;
  }, [content, cards]);
  return scroller;
}
