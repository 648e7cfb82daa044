// expect: timeout
for (;;) { try { sleep(1); } catch (e) {} }
