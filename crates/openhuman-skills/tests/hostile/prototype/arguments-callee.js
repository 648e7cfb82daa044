// expect: ok /TypeError|undefined|object/
try { return typeof new Function('return arguments.callee.caller')(); } catch (e) { return e.name; }
