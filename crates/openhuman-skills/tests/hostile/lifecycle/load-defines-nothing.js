// expect: load-fails /./ | unknown-tool
// as: script
// after: any
var x = 1;
