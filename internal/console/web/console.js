'use strict';
// Everything works without this file but passkeys; copying is a convenience.
(() => {
  const show = (e, on) => { if (e) e.hidden = !on; };

  for (const button of document.querySelectorAll('[data-copy]')) {
    if (!navigator.clipboard) continue;
    show(button, true);
    button.onclick = () => navigator.clipboard.writeText(document.getElementById(button.dataset.copy).innerText)
      .then(() => { button.textContent = button.dataset.done; });
  }

  const able = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON;
  const post = async (url, body) => {
    const res = await fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
    if (res.redirected) { location = res.url; return new Promise(() => {}); } // the session is over: sign in first
    return res.json();
  };
  for (const button of document.querySelectorAll('[data-passkey]')) {
    if (!able) continue;
    show(button, true);
    for (const part of document.querySelectorAll('[data-script]')) show(part, true);
    const problem = document.getElementById('key-problem'), {passkey, next, failed, make} = button.dataset;
    button.onclick = async () => {
      button.disabled = true;
      show(problem, false);
      try {
        const asked = await post(passkey + '/ask', {});
        if (asked.problem) throw new Error(asked.problem);
        const options = asked.options.publicKey;
        const key = make !== undefined
          ? await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})
          : await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)});
        const name = document.getElementById('f-name');
        const led = await post(passkey, {token: asked.token, name: make !== undefined && name ? name.value : '', next: next || '', response: key.toJSON()});
        if (led.problem) throw new Error(led.problem);
        location = led.next;
      } catch (e) {
        problem.textContent = e instanceof DOMException || e instanceof TypeError || e instanceof SyntaxError ? failed : e.message;
        show(problem, true);
        button.disabled = false;
      }
    };
  }
})();
(() => {
  for (const button of document.querySelectorAll('[data-print]')) {
    button.hidden = false;
    button.onclick = () => print();
  }
})();

// Keys of the review: they press what a mouse would, and rest while something is typed.
(() => {
  const keyed = document.querySelector('.keys');
  if (!keyed) return;
  const stored = (value) => { try { return value === undefined ? localStorage.getItem('keys') : localStorage.setItem('keys', value); } catch { return null; } };
  const part = document.querySelector('[data-keys-off]'), off = document.getElementById('keys-off');
  part.hidden = false;
  off.checked = stored() === 'off';
  off.onchange = () => stored(off.checked ? 'off' : 'on');
  document.addEventListener('keydown', (e) => {
    const typing = e.target.closest('input:not([type=radio]):not([type=checkbox]), textarea, select');
    if (e.key === 'Escape' && typing) { typing.blur(); return; }
    if (off.checked || typing || e.ctrlKey || e.metaKey || e.altKey) return;
    const rows = [...document.querySelectorAll('a[data-row]')];
    if (rows.length && (e.key === 'j' || e.key === 'k')) {
      const at = rows.indexOf(document.activeElement);
      rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + (e.key === 'j' ? 1 : -1)))].focus();
      e.preventDefault();
      return;
    }
    const target = document.querySelector(`[data-key="${CSS.escape(e.key)}"]`);
    if (!target) return;
    e.preventDefault();
    if (target === keyed) {
      keyed.open = !keyed.open;
      keyed.querySelector('summary').focus();
    } else if (target.tagName === 'A') target.click();
    else target.focus();
  });
})();

// What is live is looked at again and again while somebody looks at it: who has not
// moved for ten minutes is away, and is to be signed out like anybody.
(() => {
  const every = 15000, patience = 600000;
  if (!document.querySelector('[data-live]')) return;
  let moved = Date.now();
  for (const kind of ['pointermove', 'keydown', 'scroll']) addEventListener(kind, () => { moved = Date.now(); }, {passive: true});
  setInterval(async () => {
    if (document.hidden || Date.now() - moved > patience) return;
    try {
      const res = await fetch(location.href);
      if (!res.ok || res.redirected) return;
      const fresh = new DOMParser().parseFromString(await res.text(), 'text/html').querySelector('[data-live]');
      const old = document.querySelector('[data-live]');
      if (!fresh || old.contains(document.activeElement) || String(getSelection())) return; // not under one's hands
      for (const d of old.querySelectorAll('details[open][id]')) fresh.querySelector('#' + d.id)?.setAttribute('open', '');
      old.replaceWith(fresh);
    } catch { /* the next time, then */ }
  }, every);
})();
