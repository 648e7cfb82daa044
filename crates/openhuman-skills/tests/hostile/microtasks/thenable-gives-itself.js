// expect: timeout
// after: any
const t = { then(r) { r(t); } };
return (async () => await t)();
