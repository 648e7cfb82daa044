// expect: ok /replaced/
// after: any
Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw new Error('mine'); };
return 'replaced';
