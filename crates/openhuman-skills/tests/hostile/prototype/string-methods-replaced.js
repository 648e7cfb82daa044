// expect: ok /replaced/ | throws /./
// after: any
for (const name of ['toWellFormed', 'split', 'trim', 'includes', 'replace']) String.prototype[name] = () => { throw new Error('mine'); };
return 'replaced';
