// expect: load-fails /entry/
// entry: /etc/passwd
1;
