// expect: load-fails /stack/
// as: script
// after: any
(function f() { f(); })();
