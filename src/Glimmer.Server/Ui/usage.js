'use strict';
const $ = id => document.getElementById(id);
const names = { day: 'Day', model: 'Model', key: 'Key' };
$('key').value = sessionStorage.getItem('glimmer.key') ?? '';
$('key').onchange = () => { sessionStorage.setItem('glimmer.key', $('key').value); start(); };

function svg(tag, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
// Prompt tokens from the cache, other prompt tokens and generated ones, one bar a group.
function plot(rows) {
  const width = 860, height = 260, left = 70, bottom = 30;
  const most = Math.max(1, ...rows.map(row => row.prompt + row.output));
  const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img' });
  const step = (width - left) / rows.length, bar = Math.min(60, step * 0.7);
  for (let i = 0; i <= 4; i++) {
    const y = (height - bottom) * (1 - i / 4) + 8;
    root.append(svg('line', { x1: left, x2: width, y1: y, y2: y, stroke: 'var(--line)' }));
    root.append(svg('text', { x: left - 6, y: y + 4, 'text-anchor': 'end', 'font-size': 12, fill: 'var(--dim)' }, Math.round(most * i / 4).toLocaleString()));
  }
  rows.forEach((row, i) => {
    let y = height - bottom + 8;
    for (const [value, color, name] of [[row.cached, '#9db4ff', 'cached prompt'], [row.prompt - row.cached, '#3f62e8', 'prompt'], [row.output, '#e58a2f', 'generated']]) {
      const h = value / most * (height - bottom);
      y -= h;
      const rect = svg('rect', { x: left + i * step + (step - bar) / 2, y, width: bar, height: Math.max(0, h), fill: color });
      rect.append(svg('title', {}, `${row.group}: ${value.toLocaleString()} ${name} tokens`));
      root.append(rect);
    }
    root.append(svg('text', { x: left + (i + 0.5) * step, y: height - 4, 'text-anchor': 'middle', 'font-size': 12, fill: 'var(--dim)' }, row.group));
  });
  return root;
}
function table(by, rows) {
  const node = document.createElement('table');
  const line = (tag, cells) => { const row = node.insertRow(); for (const cell of cells) { const item = document.createElement(tag); item.textContent = cell; row.append(item); } };
  line('th', [names[by], 'requests', 'prompt', 'cached', 'generated', 'reasoning', 'cost']);
  for (const row of rows) line('td', [row.group, row.requests, row.prompt, row.cached, row.output, row.reasoning, row.cost].map(value => typeof value === 'number' ? value.toLocaleString() : value));
  return node;
}
async function start() {
  const page = $('page');
  try {
    const key = $('key').value;
    const response = await fetch('usage/data', { headers: key ? { Authorization: 'Bearer ' + key } : {} });
    const data = await response.json();
    if (!response.ok) throw new Error(data.error?.message ?? response.statusText);
    page.replaceChildren();
    for (const by of ['day', 'model', 'key']) {
      const title = document.createElement('h3');
      title.textContent = 'By ' + names[by].toLowerCase();
      page.append(title);
      if (data[by].length) page.append(plot(data[by].slice(-30)), table(by, data[by]));
    }
    $('state').textContent = '';
  } catch (error) { $('state').textContent = error.message; }
}
const theme = JSON.parse(localStorage.getItem('glimmer.theme') ?? 'null');
if (theme) document.documentElement.dataset.theme = theme;
start();
