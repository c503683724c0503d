// Stacks of a JavaScript engine: code compiled at run time has no call frame information.
let kept = [];
for (let i = 0; i < Number(process.argv[2]); i++) {
  const text = JSON.stringify(Array.from({ length: 100 }, (_, j) => ({ a: j, b: String(j).repeat(3) })));
  kept.push(JSON.parse(text).map((x) => x.b.replace(/\d/g, (d) => d + d)).sort((a, b) => b.length - a.length));
  if (kept.length > 20) kept = [];
}
console.log(kept.length);
