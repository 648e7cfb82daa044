// expect: ok /./
return { ['\udfff']: '\ud83d' };
