// expect: ok /./
Array.prototype.toJSON = () => 'forged';
try { state.set('list', [1]); return state.get('list'); } catch (e) { return e.name; } finally { delete Array.prototype.toJSON; }
