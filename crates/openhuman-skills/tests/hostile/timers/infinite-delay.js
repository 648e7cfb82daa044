// expect: ok /armed/
const id = setTimeout(() => {}, Infinity); setTimeout(() => {}, 1e308); setTimeout(() => {}, 2 ** 53);
clearTimeout(id); return 'armed';
