// expect: timeout
// after: any
return (async () => { for (;;) await null; })();
