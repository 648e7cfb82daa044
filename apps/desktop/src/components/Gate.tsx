import type { ReactNode } from 'react';
import { Mark } from './Mark';

/** The frame of the screens before the vault is open. */
export function Gate({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="flex h-full items-center justify-center overflow-y-auto bg-panel p-6">
      <div className="m-auto w-full max-w-md">
        <div className="mb-5 flex items-center gap-2.5 px-1">
          <Mark size={28} />
          <span className="text-base font-semibold tracking-tight">OpenHuman</span>
        </div>
        <div className="rounded-2xl border border-line bg-raised p-7 shadow-card">
          <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
          {children}
        </div>
      </div>
    </main>
  );
}
