// expect: ok /Symbol/ | throws /symbol/i
return Symbol('x');
