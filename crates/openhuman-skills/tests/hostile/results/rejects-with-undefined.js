// expect: throws /./
return Promise.reject();
