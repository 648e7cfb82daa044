// expect: ok /armed/
// after: any
setInterval(() => { for (;;); }, 1);
return 'armed';
