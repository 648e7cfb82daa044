// expect: ok /clean/
return [String(net.fetch), String(db.exec), String(console.log)].some((s) => s.includes('.rs') || s.includes('use(\'')) ? 'leaks' : 'clean';
