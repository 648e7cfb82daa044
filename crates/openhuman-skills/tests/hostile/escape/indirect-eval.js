// expect: ok /^(undefined)+$/
return (0, eval)('typeof args + typeof host + typeof op + typeof dispatch + typeof use');
