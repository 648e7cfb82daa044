// expect: load-fails /limit|within|time/i
// as: script
// after: any
for (;;);
