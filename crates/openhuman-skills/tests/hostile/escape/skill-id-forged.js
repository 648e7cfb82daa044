// expect: ok /set/
globalThis.__skillId = 'neighbour'; try { Object.defineProperty(globalThis, '__skillId', { value: 'neighbour' }); } catch (e) {}
state.set('who', 'forged'); return 'set';
