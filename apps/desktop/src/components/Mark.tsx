/** The sign of OpenHuman: a person as an open ring. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 64 64" aria-hidden="true" className="shrink-0">
      <rect width="64" height="64" rx="15" className="fill-accent" />
      <path
        d="M18.8 27.8a16 16 0 1 0 26.4 0"
        fill="none"
        strokeWidth="6"
        strokeLinecap="round"
        className="stroke-on-accent"
      />
      <circle cx="32" cy="19" r="6.5" className="fill-on-accent" />
    </svg>
  );
}
