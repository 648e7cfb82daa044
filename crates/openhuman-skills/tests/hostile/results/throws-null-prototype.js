// expect: throws /./
throw Object.create(null);
