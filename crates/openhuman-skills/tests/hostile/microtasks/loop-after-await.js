// expect: timeout
return (async () => { await null; for (;;); })();
