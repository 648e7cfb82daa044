// expect: timeout
return ('a'.repeat(40) + 'b').search(/(?:a|a)*c/);
