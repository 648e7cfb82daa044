// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('http://metadata.test/computeMetadata/v1/', { headers: { 'Metadata-Flavor': 'Google' } }); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
