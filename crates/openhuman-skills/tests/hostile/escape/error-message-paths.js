// expect: ok /^clean$/
const out = []; for (const f of [() => db.exec('x'), () => db.exec("ATTACH 'a' AS b"), () => net.fetch('http://[::1]/'), () => cron.register('a', 'b'), () => data.read('../x')]) { try { f(); } catch (e) { out.push(e.message); } }
return /\/(home|work|root|target|tmp)\/|\.rs\b|panicked/.test(out.join()) ? 'leaks ' + out.join() : 'clean';
