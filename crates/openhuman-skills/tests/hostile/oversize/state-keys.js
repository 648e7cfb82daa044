// expect: ok /^refused at/ | timeout
// limit: 3000
let n = 0; try { for (; n < 5000; n++) state.set('key' + n, n); } catch (e) { return `refused at ${n} ${e.message}`; }
return 'set';
