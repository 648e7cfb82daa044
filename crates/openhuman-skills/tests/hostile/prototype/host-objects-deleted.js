// expect: ok /undefined/
// after: any
for (const k of ['db', 'state', 'net', 'console', 'cron', 'platform', 'setTimeout', 'crypto']) { try { delete globalThis[k]; } catch (e) {} }
return typeof db + typeof net;
