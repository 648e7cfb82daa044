// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (;;) a.push(new Array(1000).fill(1)); } catch (e) { try { for (;;) a.push({}); } catch (f) { try { for (;;) a.push(1); } catch (g) { return String(g && g.message); } } }
