
// Draws the bars of #data, and lets a reader zoom, search and walk through them. It never makes markup of a name: text
// goes in as text. It knows no other page and calls nothing outside.
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const [PARENT, DEPTH, NAME, START, WIDTH, BYTES, COUNT, BEFORE] = [0, 1, 2, 3, 4, 5, 6, 7];
const ROW = 19, LEAST_PIXELS = 0.7;
const graph = document.getElementById('graph'), detail = document.getElementById('detail');
const search = document.getElementById('search'), reset = document.getElementById('reset');
const found = document.getElementById('found');
const bars = data.bars, children = bars.map(() => []);
for (let i = 1; i < bars.length; i++) children[bars[i][PARENT]].push(i);
let focus = 0;         // the bar that has the whole width
let current = 0;       // the bar that has the keyboard
let words = '';        // what is searched for, in lower case
const drawn = new Map();

function name(i) { return bars[i][NAME] < 0 ? 'all' : data.names[bars[i][NAME]][0]; }
function place(i) {
  if (bars[i][NAME] < 0) return '';
  const [, file, line, inlined] = data.names[bars[i][NAME]];
  return (file ? file + (line ? ':' + line : '') : '') + (inlined ? ' (inlined)' : '');
}
function grouped(n) { return String(n).replace(/\B(?=(\d{3})+$)/g, ','); }
function sized(n) {
  const sign = n < 0 ? '-' : '';
  let size = Math.abs(n), unit = 0;
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit++; }
  return sign + (unit ? size.toFixed(1) : size) + ' ' + units[unit];
}
function shown(n) { return data.is_bytes ? sized(n) : grouped(n); }
function percent(part, whole) { return (whole > 0 ? 100 * part / whole : 0).toFixed(2) + '%'; }
function numbers(i) {
  const bar = bars[i], whole = bars[0][WIDTH];
  let text = sized(bar[BYTES]) + ' (' + grouped(bar[BYTES]) + ' bytes) in ' + grouped(bar[COUNT]) + ' allocations, '
    + percent(bar[WIDTH], whole) + ' of all';
  if (i) text += ', ' + percent(bar[WIDTH], bars[bar[PARENT]][WIDTH]) + ' of its caller';
  if (data.is_difference) {
    const change = bar[WIDTH] - bar[BEFORE];
    text += '; before ' + shown(bar[BEFORE]) + ', change ' + (change > 0 ? '+' : '') + shown(change);
  }
  return text;
}
function colour(i) {
  const bar = bars[i];
  if (data.is_difference) {
    const change = bar[WIDTH] - bar[BEFORE];
    if (!change) return '#d5d5d5';
    const strength = data.most_change > 0 ? Math.sqrt(Math.min(1, Math.abs(change) / data.most_change)) : 0;
    return 'hsl(' + (change > 0 ? 2 : 212) + ' 80% ' + (88 - 30 * strength) + '%)';
  }
  if (!i) return '#c8c8c8';
  let hash = 7;
  for (const c of name(i)) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
  return 'hsl(' + (8 + hash % 46) + ' ' + (75 + (hash >>> 8) % 20) + '% ' + (62 + (hash >>> 16) % 12) + '%)';
}
function matches(i) {
  return bars[i][NAME] >= 0 && (name(i) + ' ' + place(i)).toLowerCase().includes(words);
}
function show(i) {
  detail.textContent = '';
  for (const [kind, text] of [['b', name(i)], ['span', ' ' + place(i)], ['div', numbers(i)]]) {
    detail.appendChild(document.createElement(kind)).textContent = text;
  }
}

function draw() {
  graph.textContent = '';
  drawn.clear();
  const whole = graph.clientWidth, from = bars[focus][START], width = bars[focus][WIDTH];
  if (!(width > 0)) { graph.textContent = 'Nothing to show: there are no ' + data.value + '.'; return; }
  const path = [];
  for (let i = focus; i; i = bars[i][PARENT]) path.push(bars[i][PARENT]);
  for (const i of path.reverse()) put(i, 0, whole, 'bar above');
  let deepest = 0;
  const waiting = [focus];
  while (waiting.length) {
    const i = waiting.pop(), pixels = bars[i][WIDTH] / width * whole;
    if (pixels < LEAST_PIXELS) continue;
    put(i, (bars[i][START] - from) / width * whole, pixels, 'bar');
    deepest = Math.max(deepest, bars[i][DEPTH]);
    for (let k = children[i].length - 1; k >= 0; k--) waiting.push(children[i][k]);
  }
  graph.style.height = (deepest + 1) * ROW + 'px';
  reset.disabled = focus === 0;
  if (!drawn.has(current)) current = focus;
  drawn.get(current).tabIndex = 0;
}
function put(i, left, pixels, kind) {
  const bar = document.createElement('div');
  bar.className = kind + (pixels < 12 ? ' thin' : '') + (words ? (matches(i) ? ' hit' : ' miss') : '');
  bar.style.left = left + 'px';
  bar.style.top = bars[i][DEPTH] * ROW + 'px';
  bar.style.width = pixels + 'px';
  bar.style.background = colour(i);
  if (pixels > 20) bar.textContent = name(i);
  bar.dataset.bar = i;
  bar.tabIndex = -1;
  bar.setAttribute('role', 'treeitem');
  bar.setAttribute('aria-level', bars[i][DEPTH] + 1);
  bar.setAttribute('aria-label', name(i) + ' ' + place(i) + ', ' + numbers(i));
  drawn.set(i, bar);
  graph.appendChild(bar);
}
function zoom(i) {
  focus = current = i;
  draw();
  move(i);
}
function move(i) {
  if (i === undefined || !drawn.has(i)) return;
  if (drawn.has(current)) drawn.get(current).tabIndex = -1;
  current = i;
  drawn.get(i).tabIndex = 0;
  drawn.get(i).focus();
  show(i);
}
function beside(i, step) {
  const row = children[bars[i][PARENT]];
  return i ? row[row.indexOf(i) + step] : undefined;
}
function seek() {
  words = search.value.trim().toLowerCase();
  found.textContent = '';
  if (words) {
    // A match inside a match is part of it.
    let sum = 0, count = 0;
    const inside = new Uint8Array(bars.length);
    for (let i = 1; i < bars.length; i++) {
      const hit = matches(i);
      inside[i] = inside[bars[i][PARENT]] || hit;
      count += hit;
      if (hit && !inside[bars[i][PARENT]]) sum += bars[i][WIDTH];
    }
    found.textContent = grouped(count) + ' frames, ' + shown(sum) + ' (' + percent(sum, bars[0][WIDTH]) + ')';
  }
  draw();
}

function barOf(event) {
  const bar = event.target.closest('.bar');
  return bar ? Number(bar.dataset.bar) : undefined;
}
graph.addEventListener('click', event => { const i = barOf(event); if (i !== undefined) zoom(i); });
graph.addEventListener('mouseover', event => { const i = barOf(event); if (i !== undefined) show(i); });
graph.addEventListener('mouseleave', () => show(current));
graph.addEventListener('keydown', event => {
  const i = barOf(event);
  if (i === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  const act = {
    ArrowUp: () => move(bars[i][PARENT]), ArrowDown: () => move(children[i][0]),
    ArrowLeft: () => move(beside(i, -1)), ArrowRight: () => move(beside(i, 1)),
    Enter: () => zoom(i), ' ': () => zoom(i), Home: () => move(0),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') { search.value = ''; words = ''; found.textContent = ''; zoom(0); }
  if (event.key === '/' && document.activeElement !== search) { event.preventDefault(); search.focus(); }
});
search.addEventListener('input', seek);
reset.addEventListener('click', () => zoom(0));
addEventListener('resize', draw);
draw();
show(0);
