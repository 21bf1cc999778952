// Asks for a report once per second, and says so when none comes.

const EVERY = 1000;
// A report that is older than this is stale, in milliseconds.
const FRESH = 4000;
// No answer is awaited for longer.
const LONGEST = 10000;

// Where this page is, `status` is too, also under a path of a proxy.
const STATUS = location.pathname.replace(/\/?$/, '/') + 'status';

let reports = [];
let points = [];
let answeredAt = null;
let problem = '';

function take(report) {
  const before = reports[reports.length - 1];
  const step = before ? since(before, report) : null;
  if (before && before.server.started_at !== report.server.started_at) reports = [];
  reports.push(report);
  const now = Date.now() / 1000;
  points.push({ at: now, ...(step || { rate: null, errors: null, p50: null, p95: null, p99: null, queue: null, active: report.requests.active, waiting: waiting(report) }) });
  points = points.filter((it) => it.at > now - HISTORY);
  const start = windowStart(reports);
  reports = reports.slice(reports.indexOf(start));
  $('main').hidden = false;
  showHead(report);
  showTiles(since(start, report), points, report);
  showWorkers(reports, report);
  showTables(start, report);
  showApplication(start, report);
  document.documentElement.dataset.reports = Number(document.documentElement.dataset.reports || 0) + 1;
}

// Says that the figures are old, and why.
function showAge() {
  const age = answeredAt === null ? null : Date.now() - answeredAt;
  const isStale = problem !== '' || (age !== null && age > FRESH);
  document.documentElement.classList.toggle('stale', isStale && age !== null);
  $('notice').hidden = !isStale;
  if (!isStale) return;
  const shown = age === null ? '' : ` The figures below are from ${clock(answeredAt / 1000)}, ${span(age / 1000)} ago.`;
  put($('notice'), `${problem || 'No answer.'}${shown}`);
  put($('state'), 'no data');
  setClass($('state'), 'badge away');
}

// Asks once; returns what is wrong, or nothing.
async function ask() {
  const token = sessionStorage.getItem('token');
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const options = { headers, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(LONGEST) };
  let response, text;
  try {
    response = await fetch(STATUS, options);
    text = await response.text();
  } catch (reason) {
    const isLate = reason.name === 'TimeoutError';
    return isLate ? `No answer within ${LONGEST / 1000} seconds.` : 'The server cannot be reached.';
  }
  if (response.status === 401) {
    if ($('login').hidden) {
      $('login').hidden = false;
      $('token').focus();
    }
    return token ? 'The server does not take this token.' : 'The server asks for a token.';
  }
  if (!response.ok) return `The server answers ${response.status}: ${text.slice(0, 300).trim()}.`;
  const report = JSON.parse(text);
  answeredAt = Date.now();
  $('login').hidden = true;
  take(report);
  return '';
}

async function poll() {
  const began = performance.now();
  try {
    problem = await ask();
  } catch (reason) {
    problem = `This page cannot show the answer of the server: ${reason}.`;
    console.error(reason);
  }
  showAge();
  setTimeout(poll, Math.max(100, EVERY - (performance.now() - began)));
}

$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem('token', $('token').value.trim());
  $('token').value = '';
});
setInterval(showAge, EVERY);
poll();
