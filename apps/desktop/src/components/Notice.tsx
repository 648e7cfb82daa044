import { CircleAlert, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';

/** A message that asks for attention. Errors are announced at once. */
export function Notice({ tone, children }: { tone: 'warn' | 'bad'; children: ReactNode }) {
  const Icon = tone === 'bad' ? CircleAlert : TriangleAlert;
  const colors = tone === 'bad' ? 'bg-bad-tint text-bad' : 'bg-warn-tint text-warn';
  return (
    <div role={tone === 'bad' ? 'alert' : undefined} className={`flex gap-2.5 rounded-lg px-3 py-2.5 ${colors}`}>
      <Icon size={16} aria-hidden="true" className="mt-0.5 shrink-0" />
      <div className="min-w-0 break-words">{children}</div>
    </div>
  );
}
