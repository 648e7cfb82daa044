// expect: ok /registered/
// after: any
globalThis.registry = new FinalizationRegistry((n) => { db.exec('SELECT 1'); state.set('finalized', n); });
for (let i = 0; i < 100; i++) registry.register({}, i);
return 'registered';
