// expect: throws /./
throw Symbol('thrown');
