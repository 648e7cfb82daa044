// expect: ok /./ | throws /./ | too-large
return globalThis;
