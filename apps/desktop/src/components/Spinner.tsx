import { LoaderCircle } from 'lucide-react';

/** Shows that work is under way; the text beside it says which. */
export function Spinner({ size = 16 }: { size?: number }) {
  return <LoaderCircle size={size} aria-hidden="true" className="shrink-0 animate-spin" />;
}
