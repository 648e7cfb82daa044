// expect: ok /a/ | throws /./
// after: any
JSON.parse = JSON.stringify = () => { throw new Error('mine'); };
return { a: 1 };
