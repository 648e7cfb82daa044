// expect: ok /^clean$/
try { net.fetch('::'); } catch (e) { return String(e.stack).includes('.rs') || /\/(home|work|root|target)\//.test(String(e.stack)) ? 'leaks' : 'clean'; }
