import { Cloud, CloudOff } from 'lucide-react';
import { type FormEvent, useEffect, useId, useState } from 'react';
import { disconnectSocket, socketConnect } from '../core/api';
import { useCore } from '../core/context';
import type { SocketState } from '../core/types';
import { useAppSelector } from '../state/store';
import { toCoreError } from '../transport/types';
import { Notice } from './Notice';

/** Says in words how the connection to the server is. `elapsedMs` is how long this state is known. */
export function describeSocket(socket: SocketState, elapsedMs: number): { label: string; detail: string | null } {
  switch (socket.status) {
    case 'disconnected':
      return { label: 'Disconnected', detail: null };
    case 'connecting':
      return { label: 'Connecting', detail: null };
    case 'connected':
      return { label: 'Connected', detail: null };
    case 'reconnecting': {
      const left = Math.ceil(((socket.next_try_ms ?? 0) - elapsedMs) / 1000);
      return {
        label: left > 0 ? `Reconnecting in ${left} s` : 'Reconnecting',
        detail: socket.error ?? null,
      };
    }
    case 'error':
      return { label: 'Connection failed', detail: socket.error ?? 'The server gave no reason.' };
  }
}

const TONES: Record<SocketState['status'], string> = {
  disconnected: 'text-muted',
  connecting: 'text-warn',
  connected: 'text-good',
  reconnecting: 'text-warn',
  error: 'text-bad',
};

/** The connection state in the header. Changes are announced, the countdown is not. */
export function ConnectionPill({ socket }: { socket: SocketState }) {
  const since = useAppSelector((state) => state.app.socketAt);
  const now = useNow(socket.status === 'reconnecting');
  const { label, detail } = describeSocket(socket, Math.max(0, now - since));
  const quiet = describeSocket(socket, Number.POSITIVE_INFINITY).label;
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
        <span aria-hidden="true" title={detail} className="min-w-0 truncate text-[0.8125rem] text-muted max-sm:hidden">
          {detail}
        </span>
      )}
    </div>
  );
}

/** The server section of the side panel: connect with a login token, or disconnect. */
export function ServerSection({ socket }: { socket: SocketState }) {
  const { transport, session } = useCore();
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const urlId = useId();
  const tokenId = useId();
  // The form stays while its own attempt is under way, so that a refused login can be corrected.
  const offline = busy || socket.status === 'disconnected' || socket.status === 'error';

  async function attempt(action: () => Promise<unknown>): Promise<boolean> {
    setBusy(true);
    setProblem(undefined);
    try {
      await action();
      await session.refresh();
      return true;
    } catch (thrown) {
      setProblem(toCoreError(thrown).message);
      return false;
    } finally {
      setBusy(false);
    }
  }

  async function connect(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    const url = data.get('url');
    const token = data.get('token');
    if (typeof url !== 'string' || typeof token !== 'string') return;
    if (!/^https?:\/\/\S+$/.test(url.trim())) {
      setProblem('Type the server address, such as https://server.example.');
      return;
    }
    if (!token.trim()) {
      setProblem('Type the login token that the server gave you. It works once, for five minutes.');
      return;
    }
    if (await attempt(() => socketConnect(transport, { url: url.trim(), login_token: token.trim() }))) form.reset();
  }

  return (
    <div className="space-y-2.5">
      {offline ? (
        <>
          <p className="text-[0.8125rem] text-muted">
            {socket.status === 'error' && socket.error
              ? socket.error
              : 'Everything runs on this computer. A server is optional: it can host the model and reach your skills.'}
          </p>
          <details className="group">
            <summary className="button button-quiet button-small">
              <Cloud size={14} aria-hidden="true" />
              Connect to a server
            </summary>
            <form className="mt-3 space-y-2.5" onSubmit={(event) => void connect(event)} noValidate>
              <div>
                <label htmlFor={urlId} className="mb-1 block text-xs font-medium">
                  Server address
                </label>
                <input id={urlId} name="url" type="url" className="field field-small" placeholder="https://" />
              </div>
              <div>
                <label htmlFor={tokenId} className="mb-1 block text-xs font-medium">
                  Login token
                </label>
                <input id={tokenId} name="token" type="password" autoComplete="off" className="field field-small" />
              </div>
              <button type="submit" className="button button-primary button-small" disabled={busy}>
                {busy ? 'Connecting' : 'Connect'}
              </button>
            </form>
          </details>
        </>
      ) : (
        <button
          type="button"
          className="button button-quiet button-small"
          disabled={busy}
          onClick={() => void attempt(() => disconnectSocket(transport))}
        >
          <CloudOff size={14} aria-hidden="true" />
          {socket.status === 'connected' ? 'Disconnect' : 'Stop connecting'}
        </button>
      )}
      {problem && <Notice tone="bad">{problem}</Notice>}
    </div>
  );
}

/** The current time, once a second while `ticking`. */
function useNow(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}
