import { useState } from 'react';
import { type CoreError, toCoreError } from '../transport/types';

/** One thing at a time that the user asked for, and why it failed. */
export interface Action {
  busy: boolean;
  problem: CoreError | null;
  /** Runs a call; its answer, or undefined when it failed. */
  run: <T>(call: () => Promise<T>) => Promise<T | undefined>;
  clear: () => void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<CoreError | null>(null);
  async function run<T>(call: () => Promise<T>): Promise<T | undefined> {
    setBusy(true);
    setProblem(null);
    try {
      return await call();
    } catch (thrown) {
      setProblem(toCoreError(thrown));
      return undefined;
    } finally {
      setBusy(false);
    }
  }
  return { busy, problem, run, clear: () => setProblem(null) };
}
