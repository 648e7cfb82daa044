// expect: ok /own/
return Symbol.for('neighbour') === globalThis.other ? 'shared' : 'own';
