// expect: ok /null|Invalid/ | throws /./
return new Date(NaN);
