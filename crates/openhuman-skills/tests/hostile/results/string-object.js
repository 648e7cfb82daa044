// expect: ok /third|boxed/
const s = new String('boxed'); s.toString = () => 'other'; s.toJSON = () => 'third';
return s;
