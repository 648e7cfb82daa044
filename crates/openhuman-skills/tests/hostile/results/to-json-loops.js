// expect: timeout
return { toJSON() { for (;;); } };
