import type { ReactNode } from 'react';
import type { CoreError } from '../transport/types';
import { troubleOf } from '../vault/trouble';
import { Notice } from './Notice';

/** Why something failed: with what it means and what to do next, where that is known. */
export function Problem({ error, children }: { error: CoreError; children?: ReactNode }) {
  const trouble = troubleOf(error);
  if (!trouble) return <Notice tone="bad">{error.message}</Notice>;
  return (
    <Notice tone="bad">
      <p className="font-semibold">{trouble.title}</p>
      <p className="mt-1">{trouble.advice}</p>
      <details className="mt-1.5">
        <summary className="text-xs underline underline-offset-2">What exactly happened</summary>
        <p className="mt-1 text-xs">{error.message}</p>
      </details>
      {children && <div className="mt-3">{children}</div>}
    </Notice>
  );
}
