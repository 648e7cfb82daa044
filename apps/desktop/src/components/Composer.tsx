import { ArrowUp, Square } from 'lucide-react';
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';

/** The prompt input. Enter sends, Shift+Enter starts a new line; a draft can be written while an answer runs. */
export function Composer(props: {
  running: boolean;
  stopping: boolean;
  onSend: (prompt: string) => void;
  onStop: () => void;
}) {
  const [draft, setDraft] = useState('');
  const input = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const hintId = useId();
  const empty = draft.trim() === '';

  useEffect(() => input.current?.focus(), []);

  function send() {
    if (empty || props.running) return;
    props.onSend(draft.trim());
    setDraft('');
  }

  function onKeyDown(event: KeyboardEvent) {
    // While an input method composes a word, Enter confirms the word.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  }

  return (
    <form
      className="mx-auto max-w-3xl"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="flex items-end gap-2 rounded-2xl border border-line-strong bg-raised py-2 pr-2 pl-4 shadow-card focus-within:border-accent focus-within:ring-1 focus-within:ring-accent">
        <label htmlFor={id} className="sr-only">
          Message
        </label>
        <textarea
          id={id}
          ref={input}
          value={draft}
          rows={1}
          aria-describedby={hintId}
          placeholder="Ask about your notes, or use a skill"
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={onKeyDown}
          className="field-sizing-content max-h-48 min-h-9 flex-1 resize-none bg-transparent py-1.5 outline-none placeholder:text-muted"
        />
        {props.running ? (
          <button
            type="button"
            aria-label="Stop"
            title="Stop"
            disabled={props.stopping}
            onClick={props.onStop}
            className="button button-quiet size-9 p-0"
          >
            <Square size={14} aria-hidden="true" className="fill-current" />
          </button>
        ) : (
          <button
            type="submit"
            aria-label="Send"
            title="Send"
            disabled={empty}
            className="button button-primary size-9 p-0"
          >
            <ArrowUp size={18} aria-hidden="true" />
          </button>
        )}
      </div>
      <p id={hintId} className="mt-2 text-center text-xs text-muted">
        Enter sends, Shift+Enter starts a new line
      </p>
    </form>
  );
}
