(function () {
'use strict';
var d = document, data = d.body.dataset;
function one(s) { return d.querySelector(s); }

// Older browsers focus nothing but fields by themselves.
var first = one('[autofocus]');
if (first && top === window && d.activeElement === d.body) first.focus();

// Copy the UPI ID; the button is of use only with this script.
var copy = one('[data-copy]');
if (copy) {
  copy.hidden = false;
  copy.onclick = function () {
    function done() { copy.textContent = copy.dataset.done; }
    function select() {
      var range = d.createRange();
      range.selectNodeContents(one('#vpa'));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (d.execCommand('copy')) done();
    }
    if (navigator.clipboard) navigator.clipboard.writeText(copy.dataset.copy).then(done, select);
    else select();
  };
}

// The one 12-digit number of a pasted SMS, as the server would pick it.
var utr = one('#utr'), found = one('#found'), wrong = one('#wrong');
function pick(text) {
  text = text.replace(/[०-९]/g, function (c) { return c.charCodeAt(0) - 0x966; });
  if (/^[\d\s\u200b\u200e-]*$/.test(text)) return text.replace(/\D/g, '');
  var all = (text.match(/\+?\d+/g) || []).filter(function (n, i, list) { return n.length === 12 && n[0] !== '+' && list.indexOf(n) === i; });
  return all.length === 1 ? all[0] : text;
}
if (utr) {
  utr.addEventListener('paste', function (e) {
    var text = (e.clipboardData || window.clipboardData).getData('text'), number = pick(text);
    if (!/^\d{12}$/.test(number)) return;
    e.preventDefault();
    utr.value = number;
    check();
  });
  utr.addEventListener('input', check);
  utr.addEventListener('change', check);
}
// Too few digits are wrong only once the payer leaves the field.
function check(e) {
  var number = pick(utr.value), good = /^\d{12}$/.test(number);
  var bad = !good && /^\d+$/.test(number) && (number.length > 12 || e && e.type === 'change');
  found.textContent = good ? found.dataset.good : bad ? found.dataset.wrong : '';
  found.className = bad ? 'error' : 'good';
  if (bad) utr.setAttribute('aria-invalid', 'true');
  else utr.removeAttribute('aria-invalid');
  if (wrong) { wrong.remove(); wrong = null; }
}

// The time left counts down; a wallet that lapsed is renewed by a new look.
var left = one('[data-left]');
if (left) {
  var end = Date.now() + left.dataset.left * 1000, ticking = setInterval(tick, 1000);
  tick();
}
function tick() {
  var s = Math.max(0, Math.round((end - Date.now()) / 1000));
  left.textContent = Math.floor(s / 60) + ':' + ('0' + s % 60).slice(-2);
  if (s > 0) return;
  clearInterval(ticking);
  if (utr.value) one('#lapsed').hidden = false;
  else location.replace(data.here);
}

// The outcome by server-sent events, by asking where those do not come through.
function seen(now) { if (now.state !== data.state) location.replace(data.here); }
function ask(then) {
  fetch(data.here + '/state', {cache: 'no-store'}).then(function (r) { return r.json(); }).then(seen, function () {}).then(then);
}
function poll() { ask(function () { setTimeout(poll, 3000); }); }
if ('live' in data) {
  if (!window.EventSource) poll();
  else {
    var events = new EventSource(data.here + '/events'), patience = setTimeout(giveUp, 6000);
    events.onmessage = function (e) { clearTimeout(patience); seen(JSON.parse(e.data)); };
    events.onerror = function () { if (events.readyState === 2) giveUp(); };
  }
}
function giveUp() { clearTimeout(patience); events.close(); poll(); }
if (data.here) d.addEventListener('visibilitychange', function () { if (!d.hidden) ask(); });

var print = one('[data-print]');
if (print) { print.hidden = false; print.onclick = function () { window.print(); }; }

// Back to the merchant, unless the payer stays, came back, or is in the merchant's page anyhow.
var count = one('#count'), entry = performance.getEntriesByType && performance.getEntriesByType('navigation')[0];
if (count && top === window && !(entry && entry.type === 'back_forward')) {
  var n = 5, going = setInterval(function () {
    count.querySelector('b').textContent = --n;
    if (n > 0) return;
    clearInterval(going);
    location.assign(one('#return').href);
  }, 1000);
  count.hidden = false;
  count.querySelector('button').onclick = function () { clearInterval(going); count.hidden = true; one('#return').focus(); };
}

// The page that embeds this one, if it is the merchant's, learns outcome and height.
function tell() {
  var news = {milaan: {outcome: data.outcome, height: Math.ceil(d.body.getBoundingClientRect().height), custom_transaction_id: data.id}};
  data.origins.split(' ').forEach(function (origin) { parent.postMessage(news, origin); });
}
if (parent !== window && data.origins) {
  tell();
  if (window.ResizeObserver) new ResizeObserver(tell).observe(d.body);
}
})();
