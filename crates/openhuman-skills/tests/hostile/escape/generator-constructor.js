// expect: ok /^undefined$/
return (function* () {}).constructor('yield typeof process')().next().value;
