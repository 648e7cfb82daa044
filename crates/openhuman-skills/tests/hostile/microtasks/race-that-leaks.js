// expect: timeout | throws /memory/ | throws /^null/
// after: any
const never = new Promise(() => {});
return (async () => { for (;;) await Promise.race([never, 1]); })();
