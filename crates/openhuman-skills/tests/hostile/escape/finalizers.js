// expect: ok /registered/
// after: any
const r = new FinalizationRegistry(() => { for (;;); });
for (let i = 0; i < 1000; i++) r.register({}, i);
return 'registered';
