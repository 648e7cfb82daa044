// expect: ok /armed/
let id; id = setInterval(() => { clearInterval(id); clearInterval(id); clearTimeout(id); }, 0);
return 'armed';
