// expect: ok /logged/ | throws /stack|memory|argument/
console.log(...new Array(50000).fill('argument'));
return 'logged';
