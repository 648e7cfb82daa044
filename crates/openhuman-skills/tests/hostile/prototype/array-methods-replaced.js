// expect: ok /replaced/
// after: any
for (const name of ['map', 'find', 'filter', 'push', 'join', 'includes', 'slice']) Array.prototype[name] = () => { throw new Error('mine'); };
return 'replaced';
