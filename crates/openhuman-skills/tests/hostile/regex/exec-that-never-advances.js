// expect: timeout | throws /memory/
const r = /x/g; r.exec = () => { r.lastIndex = 0; return { index: 0, 0: '', length: 1 }; };
return 'xyz'.match(r);
