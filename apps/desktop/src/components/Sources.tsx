import { BookOpen, ChevronRight } from 'lucide-react';
import type { Source } from '../core/types';

/** The passages from memory that an answer draws on. */
export function Sources({ sources }: { sources: Source[] }) {
  return (
    <details className="group" data-sources={sources.length}>
      <summary className="inline-flex items-center gap-1.5 rounded-md text-[0.8125rem] font-medium text-muted hover:text-ink">
        <BookOpen size={14} aria-hidden="true" />
        {sources.length === 1 ? '1 source from memory' : `${sources.length} sources from memory`}
        <ChevronRight size={14} aria-hidden="true" className="transition-transform group-open:rotate-90" />
      </summary>
      <ol className="mt-2 space-y-2">
        {sources.map((source, index) => (
          <li key={`${index}-${source.title}`} className="rounded-lg border border-line px-3 py-2 text-[0.8125rem]">
            <div className="flex items-baseline gap-2">
              <span className="min-w-0 truncate font-medium">{source.title}</span>
              {source.source && <span className="min-w-0 truncate text-xs text-muted">{source.source}</span>}
              <span className="ml-auto shrink-0 text-xs text-muted tabular-nums">
                <span className="sr-only">Score </span>
                {source.score.toFixed(2)}
              </span>
            </div>
            <p className="mt-1 line-clamp-3 break-words text-muted">{source.text}</p>
          </li>
        ))}
      </ol>
    </details>
  );
}
