import { CircleAlert, CircleCheck, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';

const LOOKS = {
  good: { Icon: CircleCheck, colors: 'bg-tint text-good', role: 'status' },
  warn: { Icon: TriangleAlert, colors: 'bg-warn-tint text-warn', role: undefined },
  bad: { Icon: CircleAlert, colors: 'bg-bad-tint text-bad', role: 'alert' },
} as const;

/** A message that asks for attention. Errors are announced at once. */
export function Notice({ tone, children }: { tone: keyof typeof LOOKS; children: ReactNode }) {
  const { Icon, colors, role } = LOOKS[tone];
  return (
    <div role={role} className={`flex gap-2.5 rounded-lg px-3 py-2.5 ${colors}`}>
      <Icon size={16} aria-hidden="true" className="mt-0.5 shrink-0" />
      <div className="min-w-0 flex-1 break-words">{children}</div>
    </div>
  );
}
