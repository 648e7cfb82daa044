// expect: timeout
return `${{ toString() { for (;;); } }}`;
