// Keeps an open page true: on each event it fetches the page's fragment anew and swaps it in. Without this script the
// pages work all the same, by reload.

const main = document.querySelector('main[data-fragment]');
const status = document.querySelector('#live');
const DEBOUNCE_MS = 120;
const AT_MOST_EVERY_MS = 600;

let timer;
let lastFetchAt = 0;
let running = false;
let again = false;

if (main && 'EventSource' in window) {
  watch();
  setInterval(tellTimes, 1000);
}

function watch() {
  const source = new EventSource(main.dataset.stream);
  source.addEventListener('open', () => {
    say('live', 'Live');
    schedule();
  });
  source.addEventListener('boot-event', schedule);
  source.addEventListener('error', () => {
    say('lost', 'Reconnecting…');
    // A refusal is final for an EventSource; a lost connection is not.
    if (source.readyState === EventSource.CLOSED) {
      schedule();
      setTimeout(watch, 5000);
    }
  });
  addEventListener('pagehide', () => source.close());
  addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload();
  });
}

function say(state, words) {
  status.hidden = false;
  status.dataset.live = state;
  status.textContent = words;
}

function schedule() {
  if (timer !== undefined) return;
  const wait = Math.max(DEBOUNCE_MS, lastFetchAt + AT_MOST_EVERY_MS - Date.now());
  timer = setTimeout(() => {
    timer = undefined;
    void refresh();
  }, wait);
}

async function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  lastFetchAt = Date.now();
  try {
    const answer = await fetch(main.dataset.fragment, { credentials: 'same-origin', cache: 'no-store' });
    if (answer.status === 401) location.reload();
    else if (answer.ok) swap(await answer.text());
  } catch {
    // The stream's own error says so already, and its return fetches again.
  }
  running = false;
  if (again) {
    again = false;
    schedule();
  }
}

function swap(markup) {
  // Somebody is marking text to copy it: that goes first.
  const selection = getSelection();
  if (selection && !selection.isCollapsed && main.contains(selection.anchorNode)) {
    schedule();
    return;
  }
  const before = new Map([...main.querySelectorAll('[data-key]')].map((row) => [row.dataset.key, row.dataset.version]));
  const focused = main.contains(document.activeElement) ? document.activeElement.id : '';
  const open = [...main.querySelectorAll('details[open][id]')].map((details) => details.id);
  const parsed = new DOMParser().parseFromString(markup, 'text/html');
  main.replaceChildren(...parsed.body.childNodes);
  for (const row of main.querySelectorAll('[data-key]')) {
    if (before.size > 0 && before.get(row.dataset.key) !== row.dataset.version) row.classList.add('changed');
  }
  for (const id of open) document.getElementById(id)?.setAttribute('open', '');
  if (focused !== '') document.getElementById(focused)?.focus({ preventScroll: true });
}

function tellTimes() {
  for (const time of document.querySelectorAll('time[data-ago]')) {
    const words = ago(Date.now() - Number(time.dataset.ago));
    if (time.textContent !== words) time.textContent = words;
  }
}

// The same words as formatAgo in src/web/format.ts.
function ago(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}
