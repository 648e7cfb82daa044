// expect: timeout
const r = /x/g; r.exec = () => { for (;;); };
return 'xyz'.replace(r, '');
