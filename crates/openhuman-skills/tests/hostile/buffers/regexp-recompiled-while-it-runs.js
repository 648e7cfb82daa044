// expect: ok /^(done|throws)/
const r = /(a+)(b)?/g; let n = 0;
try { const t = 'aaabaaab'.repeat(100).replace(r, (m) => { if (++n === 3) r.compile('(c)(d)(e)(f)(g)', 'y'); return m; });
  Object.defineProperty(r, 'lastIndex', { value: 0, writable: false }); try { r.exec('cdefg'); } catch (e) { n = e.name; }
  return `done ${t.length} ${n}`; } catch (e) { return `throws ${e.message}`; }
