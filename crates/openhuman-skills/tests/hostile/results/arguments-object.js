// expect: throws /circular/i
args.self = arguments; args.n = 7;
return arguments;
