// expect: ok /./
let n = 0; try { for (; n < 1000; n++) platform.notify('t'.repeat(100000), 'b'); } catch (e) { return `refused at ${n} ${e.message}`; }
return 'shown';
