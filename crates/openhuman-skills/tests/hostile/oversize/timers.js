// expect: ok /^refused at 128/
let n = 0; try { for (; n < 10000; n++) setTimeout(() => {}, 100000); } catch (e) { return `refused at ${n} ${e.message}`; }
return 'armed';
