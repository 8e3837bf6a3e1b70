'use strict';
const $ = id => document.getElementById(id);
const fields = ['system', 'temperature', 'top_p', 'top_k', 'max_tokens', 'seed', 'thinking', 'tools'];
let conversations = load('conversations', []);
let current = conversations[0] ?? null;
let running = null;
let model = '';

function load(name, fallback) { try { return JSON.parse(localStorage.getItem('glimmer.' + name)) ?? fallback; } catch { return fallback; } }
function save() {
  // A full store must not stop the chat: the oldest conversations go first.
  for (;;) {
    try { localStorage.setItem('glimmer.conversations', JSON.stringify(conversations)); return; } catch { if (conversations.length < 2) return; conversations.pop(); }
  }
}
function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Markdown with maths and highlighted code; everything is sanitised before it is shown.
function markdown(text) {
  const kept = [];
  const keep = html => `\u0001${kept.push(html) - 1}\u0001`;
  const maths = (source, display) => { try { return keep(katex.renderToString(source, { displayMode: display, output: 'mathml', throwOnError: true })); } catch { return null; } };
  const parts = text.split(/(```[\s\S]*?(?:```|$)|`[^`\n]*`)/);
  const prepared = parts.map((part, i) => i % 2 ? part : part
    .replace(/\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]/g, (all, a, b) => maths(a ?? b, true) ?? all)
    .replace(/\\\((.+?)\\\)|(?<![\w$\\])\$([^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\w)/g, (all, a, b) => maths(a ?? b, false) ?? all)).join('');
  const html = marked.parse(prepared, { gfm: true, breaks: true }).replace(/\u0001(\d+)\u0001/g, (_, i) => kept[i]);
  return DOMPurify.sanitize(html, { FORBID_TAGS: ['style', 'img', 'iframe', 'form', 'input', 'button'], FORBID_ATTR: ['style'] });
}
function show(node, text) {
  node.innerHTML = markdown(text);
  for (const code of node.querySelectorAll('pre code')) hljs.highlightElement(code);
  for (const link of node.querySelectorAll('a')) { link.target = '_blank'; link.rel = 'noopener noreferrer'; }
}

function render() {
  $('list').replaceChildren(...conversations.map(item => {
    const row = element('div', item === current ? 'on' : '');
    const open = element('button', '', item.title || 'New conversation');
    open.onclick = () => { stop(); current = item; $('side').classList.remove('open'); fill(); render(); };
    const drop = element('button', 'drop', '×');
    drop.title = 'Delete';
    drop.onclick = () => { if (!confirm('Delete this conversation?')) return; conversations = conversations.filter(other => other !== item); if (current === item) current = conversations[0] ?? null; save(); fill(); render(); };
    row.append(open, drop);
    return row;
  }));
  $('chat').replaceChildren(...(current?.messages ?? []).map((message, index) => turn(message, index)));
  $('chat').scrollTop = $('chat').scrollHeight;
}

function turn(message, index) {
  const node = element('div', 'turn ' + message.role);
  const who = element('div', 'who');
  who.append(element('span', '', message.role === 'user' ? 'You' : message.role === 'tool' ? 'Result of ' + (message.name ?? 'the tool') : message.stats ?? 'Model'));
  if (message.role === 'user') who.append(action('Edit', () => { stop(); $('input').value = message.content; current.messages.length = index; save(); render(); grow(); $('input').focus(); }));
  if (message.role === 'assistant') {
    who.append(action('Copy', () => navigator.clipboard.writeText(message.content ?? '')));
    who.append(action('Retry', () => { stop(); current.messages.length = index; save(); render(); answer(); }));
  }
  node.append(who);
  if (message.reasoning_content) node.append(thinking(message.reasoning_content, false));
  const text = element('div', 'text');
  if (message.role === 'assistant') show(text, message.content ?? ''); else text.textContent = message.content;
  node.append(text);
  for (const call of message.tool_calls ?? []) node.append(callNode(call, index));
  if (message.error) node.append(element('div', 'error', message.error));
  return node;
}
function action(name, run) { const button = element('button', '', name); button.type = 'button'; button.onclick = run; return button; }
function thinking(text, open) {
  const details = element('details');
  details.open = open;
  details.append(element('summary', '', 'Thinking'), element('div', '', text));
  return details;
}
function callNode(call, index) {
  const node = element('div', 'call');
  node.append(element('strong', '', call.function.name));
  let pretty = call.function.arguments;
  try { pretty = JSON.stringify(JSON.parse(pretty), null, 2); } catch { /* shown as it is */ }
  node.append(element('pre', '', pretty));
  const answered = current.messages.slice(index).some(message => message.role === 'tool' && message.tool_call_id === call.id);
  if (!answered && call.id) {
    const row = element('div', 'row');
    const input = element('input');
    input.placeholder = 'Result of the call';
    const give = action('Give result', () => {
      current.messages.push({ role: 'tool', tool_call_id: call.id, name: call.function.name, content: input.value });
      save(); render();
      const open = current.messages.findLast(message => message.role === 'assistant').tool_calls ?? [];
      if (open.every(other => current.messages.some(message => message.tool_call_id === other.id))) answer();
    });
    input.onkeydown = event => { if (event.key === 'Enter') { event.preventDefault(); give.click(); } };
    row.append(input, give);
    node.append(row);
  }
  return node;
}

function body() {
  const settings = current.settings ?? {};
  const messages = current.messages.filter(message => !message.error || message.content).map(message => {
    const sent = { role: message.role, content: message.content ?? '' };
    for (const name of ['reasoning_content', 'tool_calls', 'tool_call_id', 'name']) if (message[name]) sent[name] = message[name];
    return sent;
  });
  if (settings.system) messages.unshift({ role: 'system', content: settings.system });
  const request = { model, messages, stream: true, stream_options: { include_usage: true } };
  for (const name of ['temperature', 'top_p', 'top_k', 'max_tokens', 'seed']) if (settings[name]) request[name] = Number(settings[name]);
  if (settings.thinking) request.thinking = { type: settings.thinking === 'on' ? 'enabled' : 'disabled' };
  if (settings.tools?.trim()) request.tools = JSON.parse(settings.tools).map(tool => tool.type ? tool : { type: 'function', function: tool });
  return request;
}
function headers() { const key = $('key').value; return key ? { 'Content-Type': 'application/json', Authorization: 'Bearer ' + key } : { 'Content-Type': 'application/json' }; }

async function answer() {
  const message = { role: 'assistant', content: '', reasoning_content: '', tool_calls: [] };
  running = new AbortController();
  $('send').textContent = 'Stop';
  const conversation = current;
  let request;
  try { request = body(); } catch (error) { message.error = 'The tools are not valid JSON: ' + error.message; }
  conversation.messages.push(message);
  render();
  const started = performance.now();
  let first = 0, tokens = 0, usage = null;
  try {
    if (!request) return;
    const response = await fetch('v1/chat/completions', { method: 'POST', headers: headers(), body: JSON.stringify(request), signal: running.signal });
    if (!response.ok) throw new Error((await response.json().catch(() => null))?.error?.message ?? `${response.status} ${response.statusText}`);
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error.message);
      usage = event.usage ?? usage;
      const delta = event.choices?.[0]?.delta;
      if (!delta) continue;
      if (delta.content || delta.reasoning_content || delta.tool_calls) { first ||= performance.now(); tokens++; }
      message.content += delta.content ?? '';
      message.reasoning_content += delta.reasoning_content ?? '';
      for (const part of delta.tool_calls ?? []) {
        const call = message.tool_calls[part.index] ??= { id: part.id, type: 'function', function: { name: part.function.name, arguments: '' } };
        call.function.arguments += part.function.arguments ?? '';
      }
      if (event.choices[0].finish_reason) message.finish = event.choices[0].finish_reason;
      paint(conversation, message);
      const rate = tokens / ((performance.now() - first) / 1000 || 1);
      $('state').textContent = `${tokens} tokens, ${rate.toFixed(1)} tokens/s`;
    }
  } catch (error) {
    if (error.name !== 'AbortError') message.error = error.message;
  } finally {
    running = null;
    $('send').textContent = 'Send';
    const seconds = (performance.now() - (first || started)) / 1000;
    const count = usage?.completion_tokens ?? tokens;
    message.stats = `${count} tokens, ${(count / Math.max(seconds, 0.001)).toFixed(1)} tokens/s` + (usage ? `, prompt ${usage.prompt_tokens} (${usage.prompt_tokens_details?.cached_tokens ?? 0} cached)` : '') + (message.finish === 'length' ? ', cut at the limit' : '');
    if (!message.reasoning_content) delete message.reasoning_content;
    if (message.tool_calls.length === 0) delete message.tool_calls;
    save();
    if (conversation === current) render();
    $('state').textContent = message.stats;
    $('input').focus();
  }
}
// Only the last message changes while it is written, at most once a frame.
let painting = false;
function paint(conversation, message) {
  if (painting || conversation !== current) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    const chat = $('chat');
    if (conversation !== current || !chat.lastElementChild) return;
    const follow = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;
    const open = chat.lastElementChild.querySelector('details')?.open ?? !message.content;
    const node = turn(message, conversation.messages.length - 1);
    const details = node.querySelector('details');
    if (details) details.open = open && !message.content;
    chat.lastElementChild.replaceWith(node);
    if (follow) chat.scrollTop = chat.scrollHeight;
  });
}
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const lines = held.split('\n');
    held = lines.pop();
    for (const line of lines) if (line.startsWith('data: ') && line !== 'data: [DONE]') yield JSON.parse(line.slice(6));
  }
}
function stop() { running?.abort(); }
function begin() { current = { title: '', settings: current?.settings ? { ...current.settings } : {}, messages: [] }; conversations.unshift(current); save(); fill(); render(); $('input').focus(); }
function fill() { for (const name of fields) $(name).value = current?.settings?.[name] ?? ''; }
function grow() { const input = $('input'); input.style.height = 'auto'; input.style.height = input.scrollHeight + 'px'; }

for (const name of fields) $(name).onchange = () => { if (!current) begin(); (current.settings ??= {})[name] = $(name).value; save(); };
$('key').value = sessionStorage.getItem('glimmer.key') ?? '';
$('key').onchange = () => { sessionStorage.setItem('glimmer.key', $('key').value); start(); };
$('new').onclick = begin;
$('menu').onclick = () => $('side').classList.toggle('open');
$('more').onclick = () => { $('settings').hidden = !$('settings').hidden; $('more').setAttribute('aria-expanded', String(!$('settings').hidden)); };
$('theme').onclick = () => { const dark = (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark'; setTheme(dark ? 'light' : 'dark'); };
function setTheme(name) { document.documentElement.dataset.theme = name; localStorage.setItem('glimmer.theme', JSON.stringify(name)); }
$('export').onclick = () => {
  if (!current) return;
  const link = element('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ messages: current.messages, settings: current.settings }, null, 2)], { type: 'application/json' }));
  link.download = (current.title || 'conversation').replace(/[^\w -]+/g, '').slice(0, 40) + '.json';
  link.click();
  URL.revokeObjectURL(link.href);
};
$('input').oninput = grow;
$('input').onkeydown = event => { if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); $('form').requestSubmit(); } };
document.onkeydown = event => {
  if (event.key === 'Escape') stop();
  if ((event.ctrlKey || event.metaKey) && event.key === 'k') { event.preventDefault(); begin(); }
};
$('form').onsubmit = event => {
  event.preventDefault();
  if (running) return stop();
  const text = $('input').value.trim();
  if (!text) return;
  if (!current) begin();
  current.messages.push({ role: 'user', content: text });
  current.title ||= text.slice(0, 60);
  $('input').value = '';
  grow();
  save();
  render();
  answer();
};
async function start() {
  try {
    const response = await fetch('v1/models', { headers: headers() });
    if (response.status === 401) { $('state').textContent = 'The server wants a key: see Settings.'; $('settings').hidden = false; return; }
    const models = await response.json();
    if (!response.ok) throw new Error(models.error?.message);
    model = models.data[0].id;
    $('model').textContent = model;
    $('state').textContent = models.data[0].max_model_len ? `context ${models.data[0].max_model_len} tokens` : 'loading';
    if (!models.data[0].max_model_len) setTimeout(start, 1000);
  } catch (error) { $('state').textContent = error.message || 'The server does not answer.'; }
}
const theme = load('theme', null);
if (theme) setTheme(theme);
fill();
render();
start();
