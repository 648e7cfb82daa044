import { Cloud } from 'lucide-react';
import { useEffect, useState } from 'react';
import type { SocketState } from '../core/types';
import { useAppDispatch, useAppSelector } from '../state/store';
import { viewOpened } from '../state/view';

/** How long until the next attempt, in milliseconds, when this state came at `since`. */
export function untilNextTry(socket: SocketState, since: number, now: number): number {
  // The time of day is right however late the state was asked for.
  const due = socket.next_try_at_ms ?? since + (socket.next_try_ms ?? 0);
  return Math.max(0, due - Math.max(now, since));
}

/** Says in words how the connection to the server is; `leftMs` is how long until the next attempt. */
export function describeSocket(socket: SocketState, leftMs: number): { label: string; detail: string | null } {
  switch (socket.status) {
    case 'disconnected':
      return { label: 'Disconnected', detail: null };
    case 'connecting':
      return { label: 'Connecting', detail: null };
    case 'connected':
      return { label: 'Connected', detail: socket.error ?? null };
    case 'reconnecting': {
      const left = Math.ceil(leftMs / 1000);
      return {
        label: left > 0 ? `Reconnecting in ${left} s` : 'Reconnecting',
        detail: socket.error ?? null,
      };
    }
    case 'error':
      return { label: 'Connection failed', detail: socket.error ?? 'The server gave no reason.' };
  }
}

export const TONES: Record<SocketState['status'], string> = {
  disconnected: 'text-muted',
  connecting: 'text-warn',
  connected: 'text-good',
  reconnecting: 'text-warn',
  error: 'text-bad',
};

/** The state of the connection in words, with a countdown that runs. */
export function useSocketWords(socket: SocketState): { label: string; detail: string | null } {
  const since = useAppSelector((state) => state.app.socketAt);
  const now = useNow(socket.status === 'reconnecting');
  return describeSocket(socket, untilNextTry(socket, since, now));
}

/** The connection state in the header. Changes are announced, the countdown is not. */
export function ConnectionPill({ socket }: { socket: SocketState }) {
  const { label, detail } = useSocketWords(socket);
  const quiet = describeSocket(socket, 0).label;
  const busy = socket.status === 'connecting' || socket.status === 'reconnecting';
  return (
    <div className="flex min-w-0 items-center gap-2" data-connection={socket.status}>
      <span className="sr-only" role="status">
        Server connection: {quiet}
        {detail && `, ${detail}`}
      </span>
      <span aria-hidden="true" className={`flex shrink-0 items-center gap-2 text-[0.8125rem] font-medium ${TONES[socket.status]}`}>
        <span className={`size-2 rounded-full bg-current ${busy ? 'animate-pulse' : ''}`} />
        {label}
      </span>
      {detail && (
        <span aria-hidden="true" title={detail} className="min-w-0 truncate text-[0.8125rem] text-muted max-lg:hidden">
          {detail}
        </span>
      )}
    </div>
  );
}

/** The server in the side panel: one line, and the way to its screen. */
export function ServerSummary({ socket }: { socket: SocketState }) {
  const dispatch = useAppDispatch();
  const text = {
    disconnected: 'Everything runs on this computer. A server is optional.',
    connecting: `Connecting to ${socket.backend ?? 'the server'}.`,
    connected: `Connected to ${socket.backend ?? 'the server'}.`,
    reconnecting: `The connection to ${socket.backend ?? 'the server'} is being restored.`,
    error: socket.error ?? 'The server refused the connection.',
  }[socket.status];
  return (
    <div className="space-y-2.5">
      <p className="text-[0.8125rem] break-words text-muted">{text}</p>
      <button type="button" className="button button-quiet button-small" onClick={() => dispatch(viewOpened({ name: 'server' }))}>
        <Cloud size={14} aria-hidden="true" />
        {socket.status === 'disconnected' ? 'Connect to a server' : 'Show the connection'}
      </button>
    </div>
  );
}

/** The current time, once a second while `ticking`. */
function useNow(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}
