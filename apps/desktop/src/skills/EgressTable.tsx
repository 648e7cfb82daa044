import { KeyRound } from 'lucide-react';
import { useId, useState } from 'react';
import { Problem } from '../components/Trouble';
import { skillsEgress } from '../core/api';
import { useCore } from '../core/context';
import type { EgressEntry } from '../core/generated';
import { useLoaded } from '../hooks/useLoaded';
import { useAppSelector } from '../state/store';

/** A number of bytes for people. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** What skills sent over the network: of one skill or of all, the newest first. */
export function EgressTable({ skillId }: { skillId?: string }) {
  const { transport } = useCore();
  const [refused, setRefused] = useState(false);
  const id = useId();
  const stamp = useAppSelector((state) => state.app.socketAt);
  const params = { ...(skillId === undefined ? {} : { skill_id: skillId }), refused, limit: 200 };
  const { data, problem, reload } = useLoaded(`${stamp} ${refused}`, () => skillsEgress(transport, params));
  return (
    <div className="space-y-3">
      <div className="flex items-center justify-between gap-3">
        <div className="flex items-center gap-2">
          <input
            id={id}
            type="checkbox"
            checked={refused}
            onChange={(event) => setRefused(event.target.checked)}
            className="size-4 accent-accent"
          />
          <label htmlFor={id} className="text-muted">
            Only what was refused
          </label>
        </div>
        <button type="button" className="button button-quiet button-small" onClick={reload}>
          Look again
        </button>
      </div>
      {problem && <Problem error={problem} />}
      {data?.records.length === 0 && (
        <p className="text-muted">{refused ? 'Nothing was refused.' : 'Nothing left this computer.'}</p>
      )}
      {data && data.records.length > 0 && <Records records={data.records} withSkill={skillId === undefined} />}
    </div>
  );
}

function Records({ records, withSkill }: { records: EgressEntry[]; withSkill: boolean }) {
  return (
    <div role="region" aria-label="What was sent" tabIndex={0} className="overflow-x-auto rounded-lg border border-line">
      <table className="w-full text-left text-[0.8125rem]">
        <thead className="bg-panel text-xs text-muted">
          <tr>
            <th scope="col" className="px-3 py-2 font-medium">
              When
            </th>
            {withSkill && (
              <th scope="col" className="px-3 py-2 font-medium">
                Skill
              </th>
            )}
            <th scope="col" className="px-3 py-2 font-medium">
              Host
            </th>
            <th scope="col" className="px-3 py-2 font-medium">
              For
            </th>
            <th scope="col" className="px-3 py-2 text-right font-medium">
              Sent
            </th>
            <th scope="col" className="px-3 py-2 text-right font-medium">
              Received
            </th>
            <th scope="col" className="px-3 py-2 font-medium">
              Result
            </th>
          </tr>
        </thead>
        <tbody className="divide-y divide-line bg-raised align-top">
          {records.map((record, index) => (
            <tr key={index} data-egress={record.result}>
              <td className="px-3 py-2 whitespace-nowrap text-muted tabular-nums">
                <time dateTime={new Date(record.time_ms).toISOString()}>{formatTime(record.time_ms)}</time>
              </td>
              {withSkill && <td className="px-3 py-2">{record.skill_id}</td>}
              <td className="min-w-48 px-3 py-2">
                <span className="font-medium break-words">
                  {record.host}
                  {record.port !== 443 && `:${record.port}`}
                </span>
                <span className="block max-w-72 truncate font-mono text-xs text-muted" title={record.path}>
                  {record.method} {record.path}
                </span>
                {record.secrets.length > 0 && (
                  <span className="mt-0.5 flex items-center gap-1 text-xs text-warn">
                    <KeyRound size={12} aria-hidden="true" />
                    with {record.secrets.join(', ')}
                  </span>
                )}
              </td>
              <td className="px-3 py-2 whitespace-nowrap">{record.cause}</td>
              <td className="px-3 py-2 text-right whitespace-nowrap tabular-nums">{formatBytes(record.bytes_out)}</td>
              <td className="px-3 py-2 text-right whitespace-nowrap tabular-nums">{formatBytes(record.bytes_in)}</td>
              <td className={`px-3 py-2 ${toneOf(record)}`}>
                <span className="whitespace-nowrap">{record.result}</span>
                {record.detail && <span className="block max-w-56 text-xs break-words">{record.detail}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function formatTime(ms: number): string {
  return new Date(ms).toLocaleString(undefined, {
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
}

function toneOf({ result }: EgressEntry): string {
  if (result === 'refused' || result === 'failed') return 'text-bad';
  return result === 'answered' || result === 'open' ? 'text-good' : 'text-muted';
}
