// expect: ok /^refused/
return import({ toString() { throw new RangeError('specifier'); } }).then(() => 'imported', (e) => `refused ${e.name}: ${e.message}`);
