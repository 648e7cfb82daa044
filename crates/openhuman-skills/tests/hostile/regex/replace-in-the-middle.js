// expect: timeout
return 'x'.concat('a'.repeat(45), 'b').replace(/(a+)+c/, '');
