// The other skills.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const list = op('skills.list');
  const call = op('skills.call');
  const skills = {
    list: () => parse(list()),
    callTool: (id, tool, args) => {
      const answer = parse(call(String(id), String(tool), stringify(args ?? {})));
      return answer.refused ? { error: answer.refused } : answer.text;
    },
  };
  return { skills };
})
