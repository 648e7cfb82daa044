// expect: timeout
// after: any
const make = () => ({ then(r) { r(make()); } });
return (async () => await make())();
