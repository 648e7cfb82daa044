// expect: throws /circular/i
const o = {}; o.self = o;
return o;
