// expect: ok /^refused/ | throws /memory/
try { crypto.getRandomValues(new Uint8Array(1e9)); return 'filled'; } catch (e) { return `refused ${e.name}`; }
