import { Activity, Cloud, CloudOff, LogIn as LogInIcon, LogOut } from 'lucide-react';
import { useState } from 'react';
import { Card } from '../components/Card';
import { TONES, useSocketWords } from '../components/Connection';
import { Notice } from '../components/Notice';
import { Spinner } from '../components/Spinner';
import { Problem } from '../components/Trouble';
import { type LinkReport, authLogout, authSessions, disconnectSocket, socketConnect, socketReport } from '../core/api';
import { useCore } from '../core/context';
import type { SocketState } from '../core/types';
import { useAction } from '../hooks/useAction';
import { useLoaded } from '../hooks/useLoaded';
import { LogIn } from '../server/LogIn';
import { useAppSelector } from '../state/store';

/** The server: how the connection is and why, the logins that are kept, and a new one. */
export function ServerScreen({ socket }: { socket: SocketState }) {
  const online = socket.status !== 'disconnected' && socket.status !== 'error';
  // The form stays while its own attempt is under way, so that a refused login can be corrected.
  const [attempting, setAttempting] = useState(false);
  return (
    <div role="region" aria-label="The server" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto px-6 py-6">
      <div className="mx-auto max-w-2xl space-y-5">
        <h2 className="text-lg font-semibold tracking-tight">Server</h2>
        <State socket={socket} />
        <Kept socket={socket} />
        {(!online || attempting) && (
          <Card title="Log in" icon={<LogInIcon size={16} aria-hidden="true" className="text-accent" />}>
            <LogIn onAttempt={setAttempting} />
          </Card>
        )}
      </div>
    </div>
  );
}

/** The connection in full: its state, the reason, the countdown, and what went over it. */
function State({ socket }: { socket: SocketState }) {
  const { transport, session } = useCore();
  const action = useAction();
  const stamp = useAppSelector((state) => state.app.socketAt);
  const { label, detail } = useSocketWords(socket);
  const online = socket.status !== 'disconnected' && socket.status !== 'error';
  const report = useLoaded(`${socket.status} ${stamp}`, () => socketReport(transport));
  const busy = socket.status === 'connecting' || socket.status === 'reconnecting';

  async function disconnect() {
    await action.run(() => disconnectSocket(transport));
    await session.refresh();
  }

  return (
    <Card title="Connection" icon={<Cloud size={16} aria-hidden="true" className="text-accent" />}>
      <p data-link-state={socket.status} className={`mt-3 flex items-center gap-2 font-medium ${TONES[socket.status]}`}>
        <span aria-hidden="true" className={`size-2.5 rounded-full bg-current ${busy ? 'animate-pulse' : ''}`} />
        {label}
      </p>
      {socket.backend && <p className="mt-1 break-words text-muted">{socket.backend}</p>}
      {detail && (
        <p data-link-reason className="mt-2 break-words">
          {detail}
        </p>
      )}
      {!online && !detail && (
        <p className="mt-2 text-muted">
          Everything runs on this computer. A server is optional: it can host the model and reach your skills.
        </p>
      )}
      {(socket.lost_events ?? 0) > 0 && (
        <div className="mt-3">
          <Notice tone="warn">
            {socket.lost_events} messages of the server were dropped, because this computer did not keep up with them.
          </Notice>
        </div>
      )}
      {report.data?.link && <Figures report={report.data.link} onLook={report.reload} />}
      {action.problem && <Problem error={action.problem} />}
      {online && (
        <button type="button" className="button button-quiet mt-4" disabled={action.busy} onClick={() => void disconnect()}>
          <CloudOff size={15} aria-hidden="true" />
          {socket.status === 'connected' ? 'Disconnect' : 'Stop connecting'}
        </button>
      )}
    </Card>
  );
}

function Figures({ report, onLook }: { report: LinkReport; onLook: () => void }) {
  const figures: [string, string][] = [
    ['Connections made', report.connections.toLocaleString()],
    ['Received', `${report.frames_received.toLocaleString()} frames, ${bytes(report.bytes_received)}`],
    ['Sent', `${report.frames_sent.toLocaleString()} frames, ${bytes(report.bytes_sent)}`],
    ['Dropped messages', report.lost_events.toLocaleString()],
  ];
  if (report.last_disconnect) figures.push(['Last connection ended', report.last_disconnect]);
  return (
    <details className="mt-3" onToggle={(event) => event.currentTarget.open && onLook()}>
      <summary className="inline-flex items-center gap-1.5 text-[0.8125rem] font-medium text-accent underline underline-offset-2">
        <Activity size={14} aria-hidden="true" />
        What went over it
      </summary>
      <dl className="mt-2 grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-1 text-[0.8125rem]">
        {figures.map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-muted">{name}</dt>
            <dd className="break-words tabular-nums">{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function bytes(count: number): string {
  if (count < 1024) return `${count} bytes`;
  const kib = count / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

/** The servers that need no new login. */
function Kept({ socket }: { socket: SocketState }) {
  const { transport, session } = useCore();
  const action = useAction();
  const stamp = useAppSelector((state) => state.app.socketAt);
  const sessions = useLoaded(`${socket.status} ${stamp}`, () => authSessions(transport));
  const backends = sessions.data?.backends ?? [];
  const current = socket.status === 'disconnected' || socket.status === 'error' ? null : socket.backend;
  if (sessions.problem) return <Problem error={sessions.problem} />;
  if (backends.length === 0) return null;

  async function act(call: () => Promise<unknown>) {
    await action.run(call);
    await session.refresh();
    sessions.reload();
  }

  return (
    <Card title="Logged in" icon={<LogOut size={16} aria-hidden="true" className="text-accent" />}>
      <p className="mt-2 text-muted">The vault keeps these logins, so that a restart needs no new one.</p>
      <ul className="mt-3 space-y-2">
        {backends.map((url) => (
          <li key={url} data-session={url} className="flex flex-wrap items-center gap-2 rounded-lg border border-line px-3 py-2">
            <span className="min-w-0 flex-1 break-all">{url}</span>
            {url !== current && (
              <button
                type="button"
                className="button button-primary button-small"
                disabled={action.busy}
                onClick={() => void act(() => socketConnect(transport, { url }))}
              >
                {action.busy && <Spinner size={14} />}
                Connect
              </button>
            )}
            <button
              type="button"
              className="button button-quiet button-small"
              disabled={action.busy}
              onClick={() => void act(() => authLogout(transport, { url }))}
            >
              Log out
            </button>
          </li>
        ))}
      </ul>
      {action.problem && (
        <div className="mt-3">
          <Problem error={action.problem} />
        </div>
      )}
    </Card>
  );
}
