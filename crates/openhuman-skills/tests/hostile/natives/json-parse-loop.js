// expect: timeout | stalled
// after: any
const s = '[' + '1,'.repeat(200000) + '1]';
for (;;) JSON.parse(s);
