import { Check, ChevronRight, CircleSlash, X } from 'lucide-react';
import { type ToolCard, splitToolName } from '../state/tools';
import { Spinner } from './Spinner';

/** One tool call: name, result and time at a glance, arguments and the whole result when opened. */
export function ToolCardView({ card }: { card: ToolCard }) {
  const { skill, tool } = splitToolName(card.name);
  return (
    <details data-tool-card={card.name} data-status={card.status} className="group rounded-lg border border-line bg-panel">
      <summary className="flex items-center gap-2 rounded-lg px-3 py-2 text-[0.8125rem]">
        <StatusIcon status={card.status} />
        <span className="shrink-0 font-mono font-medium">{tool}</span>
        {skill && <span className="shrink-0 text-xs text-muted">{skill}</span>}
        <span className="min-w-0 flex-1 truncate text-muted">{card.output ?? ''}</span>
        {card.millis !== null && (
          <span className="shrink-0 text-xs text-muted tabular-nums">{formatMillis(card.millis)}</span>
        )}
        <ChevronRight
          size={14}
          aria-hidden="true"
          className="shrink-0 text-muted transition-transform group-open:rotate-90"
        />
      </summary>
      <div className="space-y-3 border-t border-line px-3 py-3">
        <Block label="Arguments" text={JSON.stringify(card.args ?? {}, null, 2)} />
        {card.output !== null && <Block label={card.status === 'failed' ? 'Error' : 'Result'} text={readable(card.output)} />}
      </div>
    </details>
  );
}

const STATUS_WORDS: Record<ToolCard['status'], string> = {
  running: 'Running',
  succeeded: 'Succeeded',
  failed: 'Failed',
  stopped: 'Stopped',
};

function StatusIcon({ status }: { status: ToolCard['status'] }) {
  return (
    <>
      <span className="sr-only">{STATUS_WORDS[status]}: tool</span>
      {status === 'running' && <Spinner size={14} />}
      {status === 'succeeded' && <Check size={14} aria-hidden="true" className="shrink-0 text-good" />}
      {status === 'failed' && <X size={14} aria-hidden="true" className="shrink-0 text-bad" />}
      {status === 'stopped' && <CircleSlash size={14} aria-hidden="true" className="shrink-0 text-muted" />}
    </>
  );
}

function Block({ label, text }: { label: string; text: string }) {
  return (
    <div>
      <p className="mb-1 text-xs font-medium text-muted">{label}</p>
      <pre
        tabIndex={0}
        className="max-h-56 overflow-auto rounded-md border border-line bg-surface px-2.5 py-2 font-mono text-xs break-words whitespace-pre-wrap"
      >
        {text}
      </pre>
    </div>
  );
}

/** Sets out a result that is JSON in lines; other text stays as it is. */
function readable(output: string): string {
  try {
    return JSON.stringify(JSON.parse(output), null, 2);
  } catch {
    return output;
  }
}

/** Formats a duration for reading: `12 ms`, `1.4 s`. */
export function formatMillis(millis: number): string {
  return millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`;
}
