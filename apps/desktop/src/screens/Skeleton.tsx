/** What the window shows before the core has answered: the outline of the workspace. */
export function Skeleton() {
  return (
    <main aria-busy="true" className="grid h-full grid-cols-[17rem_1fr] max-md:grid-cols-1">
      <h1 className="sr-only">OpenHuman</h1>
      <p role="status" className="sr-only">
        OpenHuman is starting.
      </p>
      <div aria-hidden="true" className="border-r border-line bg-panel p-4 max-md:hidden">
        <Bar width="w-28" height="h-6" />
        <div className="mt-8 space-y-3">
          <Bar width="w-20" />
          <Bar width="w-52" height="h-8" />
          <Bar width="w-44" height="h-8" />
        </div>
        <div className="mt-8 space-y-3">
          <Bar width="w-16" />
          <Bar width="w-48" height="h-8" />
        </div>
      </div>
      <div aria-hidden="true" className="flex flex-col p-6">
        <div className="mx-auto mt-10 w-full max-w-3xl flex-1 space-y-4">
          <Bar width="w-2/5" />
          <Bar width="w-4/5" />
          <Bar width="w-3/5" />
        </div>
        <div className="mx-auto h-14 w-full max-w-3xl animate-pulse rounded-2xl bg-panel" />
      </div>
    </main>
  );
}

function Bar({ width, height = 'h-4' }: { width: string; height?: string }) {
  return <div className={`animate-pulse rounded-md bg-line ${width} ${height}`} />;
}
