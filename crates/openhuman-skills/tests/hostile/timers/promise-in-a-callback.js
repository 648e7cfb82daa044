// expect: ok /armed/
// after: any
setTimeout(async () => { for (;;) await null; }, 0);
return 'armed';
