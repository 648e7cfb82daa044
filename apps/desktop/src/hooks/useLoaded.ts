import { useEffect, useEffectEvent, useState } from 'react';
import { type CoreError, toCoreError } from '../transport/types';

/** Something that is asked of the core and shown. */
export interface Loaded<T> {
  /** The latest answer; the one before stays while a new one is on its way. */
  data: T | null;
  /** Why the latest attempt failed. */
  problem: CoreError | null;
  reload: () => void;
  /** Takes an answer that came by another way. */
  take: (data: T) => void;
}

/** Asks the core now, and again whenever `key` changes. */
export function useLoaded<T>(key: string | number, load: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ data: T | null; problem: CoreError | null }>({ data: null, problem: null });
  const [turn, setTurn] = useState(0);
  const ask = useEffectEvent(load);
  useEffect(() => {
    let current = true;
    ask().then(
      (data) => {
        if (current) setState({ data, problem: null });
      },
      (thrown: unknown) => {
        if (current) setState(({ data }) => ({ data, problem: toCoreError(thrown) }));
      },
    );
    return () => {
      current = false;
    };
  }, [key, turn]);
  return {
    ...state,
    reload: () => setTurn((before) => before + 1),
    take: (data) => setState({ data, problem: null }),
  };
}
