// expect: timeout
sleep(1e9);
