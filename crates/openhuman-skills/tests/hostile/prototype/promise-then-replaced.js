// expect: ok /./ | throws /./ | never-settles | timeout
// after: any
Promise.prototype.then = () => { throw new Error('mine'); };
return Promise.resolve(1);
