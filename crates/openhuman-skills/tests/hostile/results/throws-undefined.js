// expect: throws /./
throw undefined;
