// expect: ok /^refused/
try { data.write('/tmp/openhuman-hostile', 'x'); return 'written'; } catch (e) { return `refused ${e.name}: ${e.message}`; }
