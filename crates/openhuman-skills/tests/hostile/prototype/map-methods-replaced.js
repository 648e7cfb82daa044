// expect: ok /armed|mine/
// after: any
Map.prototype.get = Map.prototype.set = Map.prototype.delete = () => { throw new Error('mine'); };
try { setTimeout(() => {}, 1); return 'armed'; } catch (e) { return e.message; }
