// expect: ok /refused|forbidden|disabled|error/i
try { return JSON.stringify(skills.callTool('neighbour', 'step', { n: 1 })); } catch (e) { return `refused ${e.name}`; }
