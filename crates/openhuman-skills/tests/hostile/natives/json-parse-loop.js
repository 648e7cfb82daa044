// expect: timeout
// after: any
// memory: 64
const s = '[' + '1,'.repeat(200000) + '1]';
for (;;) JSON.parse(s);
