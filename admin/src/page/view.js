// Shows reports on the page. What comes from clients, such as paths, is only ever set as text.

const $ = (id) => document.getElementById(id);

// An element with text and children; `attributes` are set as they are.
function make(tag, attributes, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// As `put`; a line may break behind an underscore.
function putBreakable(element, text) {
  if (element.textContent === text) return;
  const parts = text.split(/(?<=_)/).flatMap((it) => [it, document.createElement('wbr')]);
  element.replaceChildren(...parts.slice(0, -1));
}

function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

// Makes the children of `parent` those of `items`, in this order, and keeps an element as long as its key is there.
function keyed(parent, items, key, create, update) {
  const kept = parent.kept || (parent.kept = new Map());
  const used = new Set();
  let place = null;
  for (const item of items) {
    const name = key(item);
    let element = kept.get(name);
    if (!element) kept.set(name, element = create(item));
    update(element, item);
    used.add(name);
    const next = place ? place.nextSibling : parent.querySelector(':scope > :not(thead)');
    if (next !== element) parent.insertBefore(element, next);
    place = element;
  }
  for (const [name, element] of kept) {
    if (!used.has(name)) { element.remove(); kept.delete(name); }
  }
}

const TILES = [
  ['rate', 'Requests / s', rate],
  ['p50', 'p50', time],
  ['p95', 'p95', time],
  ['p99', 'p99', time],
  ['errors', 'Errors (5xx)', percent],
  ['active', 'Busy threads', number],
  ['waiting', 'Waiting', number],
  ['queue', 'Queued, mean', time],
];

function showTiles(figures, points, report) {
  const all = report.workers.filter((it) => it.kind === 'worker').flatMap((it) => it.threads);
  const [threads, stuck] = [all.filter(isServing).length, all.filter((it) => it.state === 'stuck').length];
  keyed($('tiles'), TILES, ([name]) => name, ([, title]) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 300 28');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('role', 'img');
    svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
    const value = make('p', {}, make('span', { class: 'figure' }), make('span', { class: 'of' }));
    return make('div', { class: 'tile' }, make('h3', {}, title), value, svg);
  }, (tile, [name, title, format]) => {
    const value = figures ? figures[name] : name === 'active' ? report.requests.active : null;
    put(tile.querySelector('.figure'), format(value));
    const note = stuck > 0 ? `, ${stuck} stuck` : ` of ${threads}`;
    put(tile.querySelector('.of'), name === 'active' ? note : '');
    tile.querySelector('.figure').dataset.value = value === null ? '' : value;
    tile.dataset.name = name;
    const isBad = (name === 'errors' && value >= 0.01) || (name === 'active' && stuck > 0);
    setClass(tile, isBad ? 'tile bad' : 'tile');
    drawCurve(tile.querySelector('svg'), title, points.map((it) => [it.at, it[name]]), format);
  });
}

// A curve from 0 up to the largest value, over as much of HISTORY as there is. Where there is no value, it has a gap.
function drawCurve(svg, title, points, format) {
  const known = points.filter(([, value]) => value !== null);
  const most = Math.max(...known.map(([, value]) => value), 0);
  const newest = points.length ? points[points.length - 1][0] : 0;
  const shown = Math.max(60, points.length ? newest - points[0][0] : 0);
  let path = '', last = null;
  for (const [at, value] of points) {
    if (value === null) { last = null; continue; }
    const x = 300 - (newest - at) * 300 / shown, y = 26.5 - (most > 0 ? 25 * value / most : 0);
    path += `${last !== null && at - last < 5 ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    last = at;
  }
  svg.firstChild.setAttribute('d', path);
  const least = Math.min(...known.map(([, value]) => value));
  const text = known.length ? `from ${format(least)} to ${format(most)}` : 'nothing yet';
  svg.setAttribute('aria-label', `${title}, ${span(shown)}: ${text}`);
}

function showHead(report) {
  const server = report.server;
  put($('application'), server.application || 'oxicorn');
  put($('state'), server.state);
  setClass($('state'), `badge ${server.state}`);
  const listeners = server.listeners.map((it) => it.address).join(', ');
  put($('facts'), [
    listeners, `generation ${server.generation}`, `pid ${server.pid}`, `up ${span(server.uptime_seconds)}, since ${clock(server.started_at)}`,
    `oxicorn ${server.version}`,
  ].filter(Boolean).join(' \u00b7 '));
  const last = report.reloads.history[report.reloads.history.length - 1];
  const failure = last && last.failure !== null ? `The last reload failed at ${clock(last.at)}: ${last.failure}` : '';
  $('failure').hidden = failure === '';
  put($('failure'), failure);
  document.title = `${server.application || 'oxicorn'}: ${server.state}`;
}

const CELLS = ['pid', 'state', 'age', 'up', 'requests', 'per s', 'p99', 'CPU', 'memory', 'conns', 'queue', 'busy'];
// With more threads than this only those are shown that have run for a while.
const ALL_THREADS = 64;

const KINDS = ['worker', 'runner', 'admin'];

function showWorkers(reports, report) {
  const place = (it) => KINDS.indexOf(it.kind);
  const workers = report.workers.slice().sort((a, b) => place(a) - place(b) || a.age - b.age);
  const ready = workers.filter((it) => it.kind === 'worker' && it.state === 'ready').length;
  const { scaling } = report.server;
  const bounds = scaling ? ` (scaling: ${scaling.floor} to ${scaling.most})` : '';
  put($('count'), `${ready} of ${report.server.workers_target} workers ready${bounds}`);
  setClass($('count'), ready < report.server.workers_target ? 'bad' : '');
  const many = workers.reduce((sum, it) => sum + it.threads.length, 0) > ALL_THREADS;
  keyed($('workers'), workers, (it) => `${it.age} ${it.pid}`, () => {
    const cells = CELLS.map((label, at) => make(at ? 'td' : 'th', { 'data-label': label, class: label === 'state' ? 'text' : '' }));
    cells[0].setAttribute('scope', 'row');
    const threads = make('tr', { class: 'threads' }, make('td', { colspan: CELLS.length }, make('ul')));
    return make('tbody', {}, make('tr', {}, ...cells), threads);
  }, (body, worker) => {
    const figures = workerSince(reports, worker);
    const serves = worker.kind === 'worker';
    const connections = Object.values(worker.connections).reduce((sum, it) => sum + it, 0);
    const busy = worker.threads.filter((it) => isServing(it) && it.state !== 'idle').length;
    const silent = serves && worker.heartbeat_seconds > 5 && worker.state === 'ready';
    const texts = [
      String(worker.pid), stateOf(worker, silent, report.server.generation), String(worker.age), span(worker.uptime_seconds),
      serves ? number(worker.requests) : NONE, serves ? rate(figures.rate) : NONE, serves ? time(figures.p99) : NONE,
      percent(figures.cpu), memoryOf(worker),
      serves ? number(connections) : NONE, serves ? number(worker.connections.queued) : NONE,
      serves ? `${busy}/${worker.threads.filter(isServing).length}` : NONE,
    ];
    const cells = body.firstChild.children;
    texts.forEach((text, at) => {
      put(cells[at], text);
      setClass(cells[at], [at === 1 ? 'text' : '', at === 1 && silent ? 'bad' : '', text === NONE ? 'none' : ''].join(' ').trim());
    });
    const threads = serves ? worker.threads.filter((it) => isServing(it) && (!many || isLong(it))) : [];
    body.lastChild.hidden = threads.length === 0;
    keyed(body.querySelector('ul'), threads, (it) => it.index, makeThread, showThread);
  });
}

// PSS is never more than RSS.
function memoryOf(worker) {
  return worker.pss_bytes === null ? `\u2264 ${octets(worker.rss_bytes)}` : octets(worker.pss_bytes);
}

function isServing(thread) {
  return thread.state !== 'reserve';
}

function isLong(thread) {
  return thread.state === 'stuck' || (thread.request && thread.request.seconds >= 1);
}

function stateOf(worker, silent, generation) {
  const kind = worker.kind === 'worker' ? '' : `${worker.kind}, `;
  const old = worker.generation === generation ? '' : `, generation ${worker.generation}`;
  return kind + (silent ? `silent for ${time(worker.heartbeat_seconds)}` : worker.state) + old;
}

function makeThread() {
  const request = make('span', { class: 'what' }, make('span', { class: 'method' }), ' ', make('span', { class: 'path' }), ' ', make('span', { class: 'id' }));
  return make('li', {}, make('span', { class: 'number' }), make('span', { class: 'doing' }), make('span', { class: 'seconds' }), request);
}

function showThread(line, thread) {
  const request = thread.request;
  setClass(line, thread.state);
  put(line.children[0], String(thread.index));
  put(line.children[1], thread.state);
  put(line.children[2], request ? time(request.seconds) : '');
  put(line.querySelector('.method'), request ? request.method : '');
  put(line.querySelector('.path'), request ? request.path : '');
  put(line.querySelector('.id'), request ? request.request_id : '');
}

// Rows of a name and figures.
function showRows(table, rows) {
  if (!table.tBodies.length) table.append(make('tbody'));
  keyed(table.tBodies[0], rows, (it) => it.key || it.name, (it) => {
    const cells = it.values.map(() => make('td', { class: 'figure' }));
    return make('tr', {}, make('th', { scope: 'row', class: 'wrap' }), ...cells);
  }, (row, it) => {
    putBreakable(row.firstChild, it.name);
    setClass(row, it.isBad ? 'bad' : it.isZero ? 'zero' : '');
    it.values.forEach((value, at) => put(row.children[at + 1], value));
  });
}

// A code that no RFC knows is its first digit.
function codeName(code) {
  return code >= 100 ? String(code) : code ? `${code}xx` : 'other';
}

function showTables(before, report) {
  const seconds = report.server.uptime_seconds - before.server.uptime_seconds;
  const per = (value) => (seconds > 0 ? `${rate(value / seconds)}/s` : NONE);
  const [old, codes] = [sumByCode(before), sumByCode(report)];
  const rows = [...codes].sort(([a], [b]) => a - b).map(([code, count]) => ({
    name: codeName(code), values: [number(count), per(count - (old.get(code) || 0))], isBad: (code >= 500 || code === 5) && count > (old.get(code) || 0),
  }));
  for (const [reason, count] of Object.entries(report.requests.refused)) {
    const more = count - (before.requests.refused[reason] || 0);
    if (count) rows.push({ name: `refused: ${reason}`, values: [number(count), per(more)], isBad: more > 0 });
  }
  showRows($('codes'), rows.length ? rows : [{ name: 'none yet', values: [], isZero: true }]);
  const connections = Object.entries(connectionsOf(report)).map(([name, count]) => ({ name, values: [number(count)], isZero: !count }));
  const backlogs = report.server.listeners.filter((it) => it.backlog !== null)
    .map((it) => ({ name: `not accepted, ${it.address}`, values: [number(it.backlog)], isZero: !it.backlog }));
  showRows($('connections'), connections.concat(backlogs));
  const restarts = Object.entries(report.restarts).map(([name, count]) => ({ name, values: [number(count)], isZero: !count }));
  showRows($('restarts'), restarts);
  const { history, succeeded, failed } = report.reloads;
  const reloads = history.slice().reverse().map((it) => ({
    key: `${it.at} ${it.generation}`, text: `${clock(it.at)} generation ${it.generation} `,
    result: it.failure === null ? 'ok' : 'failed', reason: it.failure === null ? '' : `: ${it.failure}`,
  }));
  const all = { key: 'all', text: `${number(succeeded)} ok, ${number(failed)} failed`, result: '', reason: '' };
  keyed($('reloads'), [all, ...reloads], (it) => it.key, () => make('li', {}, make('span'), make('span'), make('span')), (line, it) => {
    [it.text, it.result, it.reason].forEach((text, at) => put(line.children[at], text));
    setClass(line.children[1], it.result === 'failed' ? 'bad' : '');
  });
}

function showApplication(before, report) {
  $('own').hidden = report.application.length === 0;
  const seconds = report.server.uptime_seconds - before.server.uptime_seconds;
  keyed($('application-metrics'), report.application, (it) => it.name, (it) => {
    const name = make('span');
    putBreakable(name, it.name);
    const figures = make('span', { class: 'own' }, make('span', { class: 'figure' }), make('span', { class: 'of' }));
    return make('div', {}, make('h3', {}, name, figures), make('p', {}, it.help), make('table', { 'aria-label': it.name }));
  }, (block, metric) => {
    const old = before.application.find((it) => it.name === metric.name);
    const rows = metric.samples.map((sample, at) => {
      const [kind, value] = Object.entries(sample.value)[0];
      const earlier = old && old.samples[at] ? old.samples[at].value[kind] : null;
      const values = applicationValues(kind, value, earlier, seconds);
      return { name: sample.label ? sample.label[1] : '', values, isZero: values[0] === '0' };
    });
    // What has no label stands beside the name.
    const isAlone = rows.length === 1 && rows[0].name === '';
    const [value, more] = isAlone ? rows[0].values : ['', ''];
    put(block.querySelector('.figure'), value);
    put(block.querySelector('.own .of'), more ? ` ${more}` : '');
    block.lastChild.hidden = isAlone;
    if (!isAlone) showRows(block.lastChild, rows);
  });
}

function applicationValues(kind, value, earlier, seconds) {
  const known = earlier !== null && earlier !== undefined && seconds > 0;
  if (kind === 'gauge') return [number(value), ''];
  if (kind === 'counter') return [number(value), known ? `${rate((value - earlier) / seconds)}/s` : ''];
  const average = mean(histogramSince(known ? earlier : null, value));
  return [number(value.count), average === null ? '' : `mean ${time(average)}`];
}
