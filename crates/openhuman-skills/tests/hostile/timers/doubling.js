// expect: ok /armed/
const f = () => { try { setTimeout(f, 0); setTimeout(f, 0); } catch (e) { } };
f(); return 'armed';
