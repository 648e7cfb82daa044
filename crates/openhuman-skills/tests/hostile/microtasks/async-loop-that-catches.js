// expect: timeout
// after: any
return (async () => { for (;;) { try { await Promise.reject(1); } catch (e) {} } })();
