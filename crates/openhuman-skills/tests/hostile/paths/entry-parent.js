// expect: load-fails /entry/
// entry: ../index.js
1;
