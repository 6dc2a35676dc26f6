// The chat page. What other people write reaches the page as text nodes only, never as markup.

const CDN = 'https://cdn.socket.io/4.8.4/socket.io.min.js';
const MAX_FILE = 900_000;
const MAX_LINES = 500;
const TYPING_PAUSE = 2500;
/** Milliseconds before the first attempt to reconnect, and between attempts at most. */
const RECONNECT = { first: 1000, most: 5000, afterCut: 5000 };
const LATENCY_INTERVAL = 5000;
const LINK = /https?:\/\/[^\s<>"']+/g;
const PICTURES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'];
/** A key that only this tab and the server know: with it, a reloaded page keeps its nickname. */
const TAB = sessionStorage.getItem('tab') ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
sessionStorage.setItem('tab', TAB);

const byId = (id) => document.getElementById(id);
const page = Object.fromEntries(
  ['menu', 'title', 'status', 'transport', 'side', 'rooms', 'create', 'room', 'people', 'people-count', 'talk']
    .concat(['banner', 'messages', 'typing', 'composer', 'attach', 'file', 'text', 'login', 'enter', 'nickname'])
    .concat(['login-error', 'banner-text', 'banner-close', 'empty', 'second-tab', 'offline', 'offline-text'])
    .concat(['countdown', 'send', 'scrim', 'latency', 'nodes', 'cut'])
    .map((id) => [id, byId(id)]),
);

/** Rooms we are in, by name: `{ lines, users, typing, unread }`. */
const joined = new Map([['lobby', emptyRoom()]]);
let current = 'lobby';
/** Every room of the server, as it told us. */
let rooms = [{ name: 'lobby', count: 0 }];
let socket;
/** The options of WebTransport. */
let transportOptions = {};
/** While there is no connection: the number of failed attempts, and the time of the next one. */
let outage = null;

start();

async function start() {
  if (!window.io && !(await loadFromCdn())) return;
  transportOptions = await trustCertificate();
  listenToPage();
  render();
  describeNode();
  setInterval(measureLatency, LATENCY_INTERVAL);
  setInterval(renderOutage, 250);
  const nickname = sessionStorage.getItem('nickname');
  if (nickname) connect(nickname, true);
  else askNickname('');
}

/** The server's certificate comes from no authority, so the browser accepts it by its hash only. */
async function trustCertificate() {
  const response = await fetch('/certificate.der').catch(() => null);
  if (response?.status !== 200) return {};
  const value = await crypto.subtle.digest('SHA-256', await response.arrayBuffer());
  return { webtransport: { serverCertificateHashes: [{ algorithm: 'sha-256', value }] } };
}

// ── connection ──────────────────────────────────────────────────────────────

/** `wasConnected`: the nickname was ours before, in this tab. */
function connect(nickname, wasConnected = false) {
  const transports = new URLSearchParams(location.search).get('transports')?.split(',');
  const delays = { reconnectionDelay: RECONNECT.first, reconnectionDelayMax: RECONNECT.most, randomizationFactor: 0 };
  const auth = { nickname, tab: TAB };
  socket = window.io({ auth, forceNew: true, transportOptions, ...delays, ...(transports && { transports }) });
  state('connecting', 'connecting');

  socket.on('connect', () => {
    sessionStorage.setItem('nickname', nickname);
    page.login.close();
    wasConnected = true;
    state('connected', 'connected');
    const { engine } = socket.io;
    transport(engine.transport.name);
    engine.on('upgrade', ({ name }) => transport(name));
    socket.io.reconnectionDelay(RECONNECT.first);
    setOutage(null);
    measureLatency();
    if (socket.recovered) {
      add(current, { kind: 'notice', text: 'The connection is back; nothing was missed', at: Date.now() });
      return;
    }
    for (const room of joined.keys()) join(room);
  });
  socket.on('connect_error', (error) => {
    // While the server is out of reach the client tries again by itself; a refusal is the server's answer.
    if (socket.active) return;
    socket.disconnect();
    state('offline', 'offline');
    askNickname(error.message);
  });
  socket.on('disconnect', (reason) => {
    transport('');
    state(socket.active ? 'reconnecting' : 'offline', socket.active ? 'reconnecting' : `disconnected: ${reason}`);
    if (socket.active) setOutage(0);
    // A client that was cut off on purpose, or whose nickname was taken meanwhile.
    else if (reason === 'io server disconnect') askNickname('The server has ended the session.');
  });
  socket.io.on('reconnect_error', () => setOutage((outage?.failures ?? 0) + 1));
  socket.io.on('reconnect_attempt', (attempt) => state('reconnecting', `reconnecting, attempt ${attempt}`));
  socket.io.on('error', () => {
    if (!wasConnected) state('connecting', 'connecting: the server does not answer yet');
    if (!outage) setOutage(0);
  });

  socket.on('rooms', (all) => {
    rooms = all;
    renderRooms();
  });
  socket.on('users', ({ room, users }) => update(room, (it) => (it.users = users)));
  socket.on('notice', (notice) => add(notice.room, { ...notice, kind: 'notice' }));
  socket.on('message', (message) => add(message.room, { ...message, kind: 'text' }));
  socket.on('file', (file, bytes) => add(file.room, received(file, bytes)));
  socket.on('typing', ({ room, from, on }) => typing(room, from, on));
}

/** Enters a room, or enters it again after the connection was lost. */
async function join(room) {
  const answer = await ask('join', room);
  if (!answer.ok) {
    joined.delete(room);
    if (current === room) open('lobby');
    return banner(answer.error);
  }
  const name = answer.room ?? room;
  const it = joined.get(name) ?? joined.get(room);
  if (name !== room) {
    joined.delete(room);
    joined.set(name, it);
    if (current === room) current = name;
  }
  // The server keeps texts only, and forgets them when it restarts: what we have besides stays.
  const texts = answer.history.map((message) => ({ ...message, kind: 'text' }));
  const kept = texts.length > 0 ? it.lines.filter((line) => line.kind !== 'text') : it.lines;
  it.lines = [...kept, ...texts].sort((one, other) => one.at - other.at).slice(-MAX_LINES);
  it.users = answer.users;
  it.typing.clear();
  if (name === current) render();
  else renderRooms();
}

/** Sends a request and gives the answer; a lost connection is an answer as well. */
async function ask(...request) {
  try {
    return await socket.timeout(10_000).emitWithAck(...request);
  } catch {
    return { ok: false, error: 'The server did not answer; please try again.' };
  }
}

async function sendText() {
  const text = page.text.value.trim();
  if (!text || !socket?.connected) return;
  banner('');
  page.text.value = '';
  tellTyping(false);
  const room = current;
  const answer = await ask('message', { room, text });
  if (answer.ok) return;
  banner(answer.error);
  if (page.text.value === '' && current === room) page.text.value = text;
}

async function sendFile(file) {
  if (!file || !socket?.connected) return;
  if (file.size > MAX_FILE) return banner(`${file.name} is too large: ${MAX_FILE / 1000} kB are allowed.`);
  const about = { room: current, name: file.name, type: file.type };
  const answer = await ask('file', about, await file.arrayBuffer());
  banner(answer.ok ? '' : answer.error);
}

// ── the connection as the page shows it ─────────────────────────────────────

/** `failures`: how many attempts have failed since the connection was lost; null when it is back. */
function setOutage(failures) {
  if (failures === null) {
    outage = null;
  } else {
    const first = socket.io.reconnectionDelay();
    outage = { failures, next: Date.now() + Math.min(first * 2 ** failures, RECONNECT.most) };
  }
  for (const control of [page.send, page.attach, page.cut]) control.disabled = outage !== null || !socket?.connected;
  renderOutage();
}

function renderOutage() {
  page.offline.hidden = outage === null;
  if (outage === null) return;
  const text = outage.failures === 0 ? 'The connection is lost.' : 'The server does not answer.';
  // A screen reader speaks the text when it changes, and never the countdown.
  if (page['offline-text'].textContent !== text) page['offline-text'].textContent = text;
  const seconds = Math.ceil((outage.next - Date.now()) / 1000);
  page.countdown.textContent = seconds > 0 ? `Next attempt in ${seconds} s` : 'Trying again…';
}

/** Closes the connection as a lost network would, so that the server keeps the session for a while. */
function cutTheLine() {
  socket.io.reconnectionDelay(RECONNECT.afterCut);
  socket.io.engine.close();
}

async function measureLatency() {
  if (!socket?.connected) return (page.latency.textContent = '');
  const sent = performance.now();
  try {
    await socket.timeout(LATENCY_INTERVAL).emitWithAck('latency');
    page.latency.textContent = `${(performance.now() - sent).toFixed(1)} ms`;
  } catch {
    page.latency.textContent = '';
  }
}

/** Names the node that serves this page, with links to the other nodes of its cluster. */
async function describeNode() {
  const { node, nodes } = await (await fetch('/about.json')).json();
  const others = nodes.map((url, at) => {
    const name = `node ${at + 1}`;
    if (at + 1 === node) return element('strong', {}, [name]);
    return element('a', { href: url, target: '_blank', rel: 'noopener', 'data-testid': `node-${at + 1}` }, [name]);
  });
  page.nodes.replaceChildren(...others.flatMap((it, at) => (at === 0 ? [it] : [' · ', it])));
}

let typingTimer;

/** Says once that we type, and once that we stopped. */
function tellTyping(on) {
  if (on !== (typingTimer !== undefined)) socket?.volatile.emit('typing', current, on);
  clearTimeout(typingTimer);
  typingTimer = on ? setTimeout(() => tellTyping(false), TYPING_PAUSE) : undefined;
}

// ── what the server tells ───────────────────────────────────────────────────

function emptyRoom() {
  return { lines: [], users: [], typing: new Map(), unread: 0 };
}

function update(room, change) {
  const it = joined.get(room);
  if (!it) return;
  change(it);
  if (room === current) renderPeople();
}

function add(room, line) {
  const it = joined.get(room);
  if (!it) return;
  it.lines.push(line);
  it.lines.splice(0, it.lines.length - MAX_LINES).forEach(forget);
  if (line.from) it.typing.delete(line.from.id);
  if (room === current) showLine(line);
  if (room === current && !document.hidden) return;
  if (line.kind !== 'notice') it.unread++;
  renderRooms();
}

function received(file, bytes) {
  const type = PICTURES.includes(file.type) ? file.type : 'application/octet-stream';
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  return { ...file, kind: 'file', url, isPicture: type === file.type };
}

function forget(line) {
  if (line.url) URL.revokeObjectURL(line.url);
}

function typing(room, from, on) {
  const it = joined.get(room);
  if (!it || from.id === socket.id) return;
  clearTimeout(it.typing.get(from.id)?.timer);
  if (on) {
    // A line that never ends would be a lie when the other side is cut off.
    const timer = setTimeout(() => typing(room, from, false), 2 * TYPING_PAUSE);
    it.typing.set(from.id, { nickname: from.nickname, timer });
  } else {
    it.typing.delete(from.id);
  }
  if (room === current) renderTyping();
}

// ── the page ────────────────────────────────────────────────────────────────

function render() {
  page.title.textContent = current;
  document.title = `${current} · Chat`;
  page.messages.replaceChildren(...joined.get(current).lines.map(lineElement));
  page.messages.scrollTop = page.messages.scrollHeight;
  renderEmpty();
  renderRooms();
  renderPeople();
  renderTyping();
}

function showLine(line) {
  const { scrollTop, scrollHeight, clientHeight } = page.messages;
  const atEnd = scrollHeight - scrollTop - clientHeight < 80;
  page.messages.append(lineElement(line));
  while (page.messages.childElementCount > MAX_LINES) page.messages.firstElementChild.remove();
  if (atEnd || line.from?.id === socket.id) page.messages.scrollTop = page.messages.scrollHeight;
  renderEmpty();
  renderTyping();
}

/** Someone who is alone sees how to try the demo. */
function renderEmpty() {
  const { lines, users } = joined.get(current);
  page.empty.hidden = lines.some((line) => line.kind !== 'notice') || users.length > 1;
}

function renderRooms() {
  const all = [...rooms];
  for (const name of joined.keys()) if (!all.some((room) => room.name === name)) all.push({ name, count: 0 });
  page.rooms.replaceChildren(
    ...all.map(({ name, count }) => {
      const unread = joined.get(name)?.unread ?? 0;
      const button = element('button', { type: 'button', 'data-testid': `room-${name}`, 'aria-current': name === current }, [
        element('span', { class: 'name' }, [`# ${name}`]),
        element('span', { class: 'count', title: 'people here' }, [String(count)]),
      ]);
      if (unread > 0) {
        const label = { class: 'unread', 'data-testid': `unread-${name}`, 'aria-label': `${unread} unread` };
        button.append(element('span', label, [String(unread)]));
      }
      button.addEventListener('click', () => open(name));
      return element('li', {}, [button]);
    }),
  );
}

function renderPeople() {
  const { users } = joined.get(current);
  renderEmpty();
  page['people-count'].textContent = `(${users.length})`;
  page.people.replaceChildren(
    ...users.map(({ id, nickname }) => {
      const name = id === socket?.id ? `${nickname} (you)` : nickname;
      return element('li', { 'data-testid': 'user' }, [avatar(nickname), element('span', {}, [name])]);
    }),
  );
}

function renderTyping() {
  const names = [...joined.get(current).typing.values()].map(({ nickname }) => nickname);
  const who = names.length > 3 ? 'Several people' : names.join(', ');
  page.typing.textContent = names.length === 0 ? '' : `${who} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

function lineElement(line) {
  if (line.kind === 'notice') return element('li', { class: 'notice', 'data-testid': 'notice' }, [line.text]);
  const own = line.from.id === socket?.id || line.from.nickname === sessionStorage.getItem('nickname');
  const time = new Date(line.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const meta = element('span', { class: 'meta' }, [own ? time : `${line.from.nickname} · ${time}`]);
  const body = line.kind === 'file' ? fileElement(line) : element('span', { 'data-testid': 'text' }, withLinks(line.text));
  const bubble = element('div', { class: 'bubble' }, [meta, body]);
  return element('li', { class: own ? 'message own' : 'message', 'data-testid': 'message' }, [
    avatar(line.from.nickname),
    bubble,
  ]);
}

/** Splits a text into its links and what is between them. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const url = match[0].replace(/[.,;:!?)\]}]+$/, '');
    if (!URL.canParse(url)) continue;
    const link = element('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, [url]);
    parts.push(text.slice(end, match.index), link);
    end = match.index + url.length;
  }
  return [...parts, text.slice(end)];
}

function fileElement({ name, url, isPicture }) {
  const content = isPicture ? element('img', { src: url, alt: name, 'data-testid': 'file-image' }) : `↓ ${name}`;
  const link = element('a', { href: url, download: name, 'data-testid': 'file-link' }, [content]);
  // A picture has no height before it is decoded; the list grows then.
  link.querySelector('img')?.addEventListener('load', () => link.scrollIntoView({ block: 'nearest' }));
  return link;
}

function avatar(nickname) {
  const circle = element('span', { class: 'avatar', 'aria-hidden': 'true' }, [[...nickname][0]?.toUpperCase() ?? '?']);
  const hue = [...nickname].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  circle.style.setProperty('--hue', hue);
  return circle;
}

function element(tag, attributes = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

function open(room) {
  tellTyping(false);
  const isNew = !joined.has(room);
  if (isNew) joined.set(room, emptyRoom());
  current = room;
  joined.get(room).unread = 0;
  menu(false);
  banner('');
  render();
  if (isNew && socket?.connected) join(room);
  page.text.focus();
}

function state(name, text) {
  page.status.dataset.state = name;
  page.status.textContent = text;
}

function transport(name) {
  page.transport.textContent = name;
  page.transport.hidden = name === '';
}

function banner(text) {
  page['banner-text'].textContent = text ?? '';
  page.banner.hidden = !text;
}

function menu(isOpen) {
  page.side.classList.toggle('open', isOpen);
  page.scrim.hidden = !isOpen;
  page.menu.setAttribute('aria-expanded', String(isOpen));
}

function askNickname(error) {
  page['login-error'].textContent = error;
  page.nickname.value = sessionStorage.getItem('nickname') ?? page.nickname.value;
  if (!page.login.open) page.login.showModal();
}

function listenToPage() {
  page.enter.addEventListener('submit', (event) => {
    event.preventDefault();
    socket?.disconnect();
    connect(page.nickname.value.trim());
  });
  // Without a nickname there is nothing behind the dialog.
  page.login.addEventListener('cancel', (event) => event.preventDefault());
  page.composer.addEventListener('submit', (event) => {
    event.preventDefault();
    sendText();
  });
  page.text.addEventListener('input', () => tellTyping(page.text.value !== ''));
  page.create.addEventListener('submit', (event) => {
    event.preventDefault();
    const room = page.room.value.trim();
    page.room.value = '';
    if (room) open(room);
  });
  page.menu.addEventListener('click', () => menu(!page.side.classList.contains('open')));
  page.scrim.addEventListener('click', () => menu(false));
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || page.scrim.hidden) return;
    menu(false);
    page.menu.focus();
  });
  page['banner-close'].addEventListener('click', () => banner(''));
  page.cut.addEventListener('click', cutTheLine);
  page.attach.addEventListener('click', () => {
    banner('');
    page.file.click();
  });
  page.file.addEventListener('change', () => {
    sendFile(page.file.files[0]);
    page.file.value = '';
  });
  for (const kind of ['dragover', 'dragleave', 'drop']) {
    page.talk.addEventListener(kind, (event) => {
      event.preventDefault();
      page.talk.classList.toggle('dropping', kind === 'dragover');
      if (kind === 'drop') sendFile(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    joined.get(current).unread = 0;
    renderRooms();
  });
}

/** Where the demo was started without npm, the server has no client to give. */
async function loadFromCdn() {
  const script = element('script', { src: CDN });
  const loaded = new Promise((resolve) => {
    script.onload = () => resolve(true);
    script.onerror = () => resolve(false);
  });
  document.head.append(script);
  const there = await loaded;
  banner(
    there
      ? 'The client library comes from cdn.socket.io, because npm was missing when the demo was started.'
      : 'No client library: install npm and start the demo again, or connect this browser to the internet.',
  );
  return there;
}
