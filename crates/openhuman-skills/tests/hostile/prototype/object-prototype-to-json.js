// expect: ok /forged|real/
// after: any
Object.prototype.toJSON = function () { return 'forged'; };
return { real: 1 };
