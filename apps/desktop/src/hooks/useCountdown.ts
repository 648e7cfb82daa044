import { useEffect, useState } from 'react';

/** A time to wait: from when, in milliseconds since the epoch, and how long. */
export interface Wait {
  from: number;
  ms: number;
}

/** Whole seconds that are left of a wait; 0 when it is over or there is none. */
export function useCountdown(wait: Wait | null): number {
  const [now, setNow] = useState(() => Date.now());
  const left = wait ? wait.from + wait.ms - Math.max(now, wait.from) : 0;
  const waiting = left > 0;
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [waiting]);
  return Math.max(0, Math.ceil(left / 1000));
}
