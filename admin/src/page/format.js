// Figures as text. An unknown one is a dash.

const NONE = '\u2013';
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return whole.format(value);
  return value.toFixed(size >= 10 ? 1 : 2);
}

function rate(value) {
  if (value === null || !Number.isFinite(value)) return NONE;
  return value >= 100 ? whole.format(value) : value.toFixed(1);
}

function percent(value) {
  if (value === null || !Number.isFinite(value)) return NONE;
  const part = value * 100;
  return (part === 0 || part >= 10 ? whole.format(part) : part.toFixed(part < 1 ? 2 : 1)) + ' %';
}

// A short time, such as a latency.
function time(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const millis = seconds * 1000;
  if (millis < 1) return millis.toFixed(2) + ' ms';
  if (millis < 10) return millis.toFixed(1) + ' ms';
  if (millis < 1000) return millis.toFixed(0) + ' ms';
  return seconds < 100 ? seconds.toFixed(seconds < 10 ? 2 : 1) + ' s' : span(seconds);
}

// A long time, such as an uptime.
function span(seconds) {
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  let left = Math.floor(seconds);
  const at = Math.max(0, units.findIndex(([size]) => left >= size));
  if (left < 1) return '0 s';
  const parts = [];
  for (const [size, name] of units.slice(at, at + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count}\u00a0${name}`);
  }
  return parts.join(' ');
}

function octets(value) {
  if (value === null || value === undefined) return NONE;
  const mebi = value / 1048576;
  if (mebi >= 1024) return (mebi / 1024).toFixed(2) + ' GiB';
  return (mebi >= 100 ? mebi.toFixed(0) : mebi.toFixed(1)) + ' MiB';
}

function clock(unix) {
  const date = new Date(unix * 1000);
  const two = (value) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const hour = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return date.toDateString() === new Date().toDateString() ? hour : `${day} ${hour}`;
}
