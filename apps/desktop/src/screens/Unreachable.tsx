import { RotateCw } from 'lucide-react';
import { Gate } from '../components/Gate';
import { Notice } from '../components/Notice';
import { useCore } from '../core/context';

/** Shown when the core inside the app did not start. */
export function Unreachable({ reason }: { reason: string | null }) {
  const { session } = useCore();
  return (
    <Gate title="OpenHuman could not start">
      <div className="mt-4 space-y-4">
        <Notice tone="bad">{reason ?? 'The core gave no reason.'}</Notice>
        <p className="text-muted">Your vault is untouched. When the cause is gone, try again.</p>
        <button type="button" className="button button-primary" onClick={() => void session.start()}>
          <RotateCw size={16} aria-hidden="true" />
          Try again
        </button>
      </div>
    </Gate>
  );
}
