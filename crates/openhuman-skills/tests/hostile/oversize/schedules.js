// expect: ok /^refused at/ | timeout
// limit: 2000
let n = 0; try { for (; n < 1000; n++) cron.register('s' + n, '0 0 0 1 1 *'); } catch (e) { return `refused at ${n} ${e.message}`; }
return 'registered';
