// expect: ok /true,false/
return [Object.getPrototypeOf(db) === Object.prototype || Object.getPrototypeOf(db) !== null, Object.getOwnPropertyNames(net).includes('__op')].join();
