// expect: throws /primitive|TypeError/ | ok /./
return Object.assign(() => 1, { toString: () => ({}), valueOf: () => ({}) });
