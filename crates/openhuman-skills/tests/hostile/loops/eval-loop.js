// expect: timeout
for (;;) eval('1 + 1');
