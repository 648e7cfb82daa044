// expect: load-fails /./
// as: script
// after: any
function ( {
