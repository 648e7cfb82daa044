// expect: ok /armed/
return new Promise((r) => setTimeout(() => r('armed'), NaN));
