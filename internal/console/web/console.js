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
