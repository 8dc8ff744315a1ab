// Every page of the desk works without this script. It adds keys, keeps what is typed, and shows what is new.
// Elements ask for it: data-key (a key presses it), data-seconds (a countdown), data-number (a live number),
// data-live and data-seen (a part with an id, fetched again when that number is higher; its lines: data-id).
"use strict";
{
  const $ = (query, root = document) => root.querySelector(query);
  const $$ = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, textContent, more) => Object.assign(document.createElement(tag), { textContent, ...more });
  const page = document.documentElement;
  const form = $("#decide");
  const at = (action) => form.action.replace(/decision$/, action);
  const isField = (element) =>
    element.matches("select, textarea, input:not([type=radio], [type=checkbox], [type=button], [type=submit])");

  // Waiting: a bar after one second, and no form twice.
  let waiting, leaving, stream;
  const rest = () => (clearTimeout(waiting), page.classList.remove("waiting"));
  const wait = () => (rest(), (waiting = setTimeout(() => page.classList.add("waiting"), 1000)));
  const ask = async (address, options) => {
    wait();
    try {
      return await fetch(address, options);
    } catch {
      return { ok: false, status: 0 };
    } finally {
      rest();
    }
  };
  const post = (address, fields, more) =>
    ask(address, { method: "POST", body: new URLSearchParams(fields), ...more });
  const fetched = async (address, query) => {
    const answer = await ask(address);
    if (!answer.ok || answer.redirected) return null;
    return $(query, new DOMParser().parseFromString(await answer.text(), "text/html"));
  };
  addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method === "dialog") return;
    if (event.target.sent) return event.preventDefault();
    event.target.sent = leaving = true;
    wait();
  });
  addEventListener("pageshow", () => {
    leaving = false;
    for (const each of document.forms) each.sent = false;
    rest();
  });

  // Moments in the reader's own time, and a countdown that is silent for screen readers.
  const prepare = (root) => {
    for (const each of $$("time", root)) {
      const moment = new Date(each.dateTime);
      const isToday = moment.toDateString() === new Date().toDateString();
      const second = /:.*:/.test(each.textContent) ? "2-digit" : undefined;
      const parts = { ...(!isToday && { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit", second };
      each.textContent = moment.toLocaleString([], parts);
    }
    for (const each of $$("[data-seconds]", root)) {
      const end = Date.now() + 1000 * each.dataset.seconds;
      const tick = setInterval(() => {
        const left = Math.ceil((end - Date.now()) / 1000);
        if (left > 0) return void ($("[aria-hidden]", each).textContent = left);
        clearInterval(tick);
        each.textContent = "The platform is told.";
        for (const undo of $$(".while-seconds", each.parentNode)) undo.hidden = true;
        for (const reopen of $$(".after-seconds", each.parentNode)) reopen.hidden = false;
      }, 500);
    }
    switchKeys();
  };

  // Keys.
  const isOn = $("#keys-on");
  const switchKeys = () => {
    page.classList.toggle("keys", isOn.checked);
    for (const each of $$("[data-key]")) each.ariaKeyShortcuts = isOn.checked ? each.dataset.key : null;
  };
  const visible = (query) => $$(query).filter((each) => each.checkVisibility());
  const help = () => {
    const does = (each) => (each.labels?.[0] || each.firstChild).textContent;
    const rows = visible("[data-key]").map((each) => [each.dataset.key.toUpperCase(), does(each)]);
    if ($(".change")) rows.unshift(["J K", "Next, previous change"], ["1 2 3", "Original, rewrite, own words"]);
    rows.push(["Esc", "Leave a field"], ["?", "These keys"]);
    $("#keys-here").replaceChildren(...rows.flatMap(([key, does]) => [make("dt", key), make("dd", does.trim())]));
    $("#keys").showModal();
  };
  const keys = { "?": help };
  addEventListener("keydown", (event) => {
    const withOthers = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
    if (withOthers || $("dialog[open]")) return;
    if (isField(event.target)) return void (event.key === "Escape" && event.target.blur());
    const key = isOn.checked && event.key.toLowerCase();
    const pressed = visible(`[data-key="${CSS.escape(key)}"]`)[0];
    if (!keys[key] && (!pressed || event.repeat)) return;
    event.preventDefault();
    if (keys[key]) keys[key]();
    else pressed[isField(pressed) ? "focus" : "click"]();
  });
  isOn.checked = localStorage.getItem("desk.keys") !== "off";
  isOn.onchange = () => (localStorage.setItem("desk.keys", isOn.checked ? "on" : "off"), switchKeys());
  for (const each of $$("#help")) Object.assign(each, { hidden: false, onclick: help });
  prepare(document);

  // Changes of a rewrite: the one at hand, and the text as it is chosen.
  const changes = () => $$(".change"); // they may come later, with their layer
  let here;
  const chosen = (change) => $("input:checked", change).value;
  const words = (change) => $("textarea", change);
  const marks = (change) => $$(`.layer-rewrite [data-change="${change.dataset.number}"]`);
  const turn = (change) => {
    for (const each of $$(".on")) each.classList.remove("on");
    for (const each of [change, ...marks(change)]) each.classList.add("on");
    here = change;
  };
  const go = (change) => {
    if (!change?.checkVisibility()) return;
    turn(change);
    marks(change)[0]?.scrollIntoView({ block: "center" });
    change.scrollIntoView({ block: "nearest" });
    $("input:checked", change).focus({ preventScroll: true });
  };
  const choose = (value) => {
    if (!here?.checkVisibility() || here.disabled) return;
    $(`input[value=${value}]`, here).click();
    const field = value === "own" ? words(here) : $("input:checked", here);
    field.focus();
    if (field.value === field.defaultValue) field.select(); // what is typed replaces it
  };
  const step = (by) => go(changes()[changes().indexOf(here) + by]);
  Object.assign(keys, { j: () => step(1), k: () => step(-1) });
  Object.assign(keys, { 1: () => choose("original"), 2: () => choose("rewrite"), 3: () => choose("own") });
  const draw = (change) => {
    const [first, ...more] = marks(change);
    const kind = chosen(change);
    if (!first) return;
    const diff = $(".diff", change).cloneNode(true);
    const ins = make("ins", words(change).value);
    for (const each of $$(kind === "original" ? "ins, .hidden" : "none", diff)) each.remove();
    first.lastElementChild.replaceChildren(
      ...(kind === "own" ? [ins] : kind === "rewrite" ? diff.childNodes : [diff.textContent]),
    );
    for (const each of more) each.hidden = true; // the first one has all of it
    for (const each of marks(change)) each.className = kind === "original" ? "mark kept on" : "mark new on";
  };
  const sum = () => {
    const [taken, own] = ["rewrite", "own"].map((kind) => changes().filter((each) => chosen(each) === kind).length);
    const parts = [taken && `${taken} change${taken === 1 ? "" : "s"} of the rewrite`, own && `${own} in own words`];
    const said = parts.filter(Boolean).join(", ");
    $("#sum").textContent = `Your text: ${said ? `${said}, the rest` : "all"} as written.`;
  };

  // What is chosen and typed is kept on the server, so that nothing is lost by leaving.
  const typed = new Set();
  let timer, isKeeping, keeping = Promise.resolve(true);
  const trouble = (status) => {
    const its = $(`#trouble [data-status="${status}"]`) || $("#trouble [data-status=other]");
    for (const each of $$("#trouble [data-status]")) each.hidden = each !== its;
    $("#trouble").hidden = status === 200;
  };
  const keepNow = async (more) => {
    clearTimeout(timer);
    const sent = [...typed];
    if (!sent.length || leaving) return true; // who leaves by the form sends all of it
    const fields = { version: form.version.value };
    for (const each of sent) {
      fields[`choice${each.dataset.number}`] = chosen(each);
      fields[words(each).name] = words(each).value;
    }
    typed.clear();
    isKeeping = true;
    const answer = await post(at("keep"), fields, more);
    isKeeping = false;
    if (answer.ok) form.version.value = (await answer.json()).version;
    else for (const each of sent) typed.add(each);
    trouble(answer.status);
    return answer.ok;
  };
  const keep = (more) => (keeping = keeping.then(() => keepNow(more))); // in turn: each has the next version
  const note = $("#note");
  addEventListener("input", ({ target }) => {
    const change = form && target.closest(".change");
    if (!change) return;
    typed.add(change);
    for (const each of $$(".judged")) each.textContent = "";
    draw(change);
    sum();
    clearTimeout(timer);
    timer = setTimeout(keep, isField(target) ? 1500 : 300);
  });
  addEventListener("focusin", ({ target }) => target.closest(".change") && turn(target.closest(".change")));
  const isTyped = () => typed.size || $$("#note, #comment").some((each) => each.value.trim());
  addEventListener("beforeunload", (event) => !leaving && isTyped() && event.preventDefault());
  form?.addEventListener("submit", (event) => {
    const isBare = event.submitter?.matches("[data-needs-note]") && !note.value.trim();
    if (isBare || isKeeping) event.preventDefault();
    if (isBare) return note.setCustomValidity("Write what should change."), note.reportValidity();
    if (isKeeping) keeping.then((isKept) => isKept && form.requestSubmit(event.submitter)); // by the next version
  });

  // Judging the text as it is now: the workers may take a while.
  const judge = async (said) => {
    said.textContent = "Being judged …";
    const answer = (await keep()) && (await post(at("judge"), { version: form.version.value }));
    if (!answer.ok) said.textContent = "It cannot be judged now.";
    for (let tries = 0; said.textContent.startsWith("Being"); tries += 1) {
      const fresh = (await fetched(location.pathname, ".judged"))?.textContent;
      if (!said.textContent.startsWith("Being")) return; // the text was changed meanwhile
      if (fresh?.includes(",")) said.textContent = fresh;
      else if (tries === 30) said.textContent = "No answer yet: load the page again later.";
      else await new Promise((done) => setTimeout(done, 2000));
    }
  };

  // The layers, without leaving the page: each is fetched once, and hidden afterwards.
  const show = async (link, asked) => {
    const wanted = asked === "text" ? "rewrite" : asked;
    let split = $(`.split[data-layer="${wanted}"]`);
    if (!split) {
      await keep();
      split = await fetched(link.href, `.split[data-layer="${wanted}"]`);
      if (!split) return location.assign(link.href);
      $("main").append(split);
      prepare(split);
    }
    for (const each of $$(".split")) each.hidden = each !== split;
    split.classList.toggle("shows-text", asked === "text");
    split.classList.toggle("shows-side", asked !== "text");
    for (const each of $$(".tabs a", split)) each.ariaCurrent = each.search === link.search ? "page" : null;
    $(".tabs [aria-current]", split).focus({ preventScroll: true });
    history.replaceState(null, "", link.href);
  };
  addEventListener("click", (event) => {
    const [link, mark, button] = [".tabs a", ".mark .n", ".judge"].map((each) => event.target.closest(each));
    if (event.target.closest("button")?.form === form) note?.setCustomValidity(""); // only one decision needs it
    const change = mark && $(`#change-${mark.parentNode.dataset.change}`);
    const isShown = link || button || change?.checkVisibility();
    if (event.ctrlKey || event.metaKey || event.shiftKey || !isShown) return;
    event.preventDefault();
    if (link) show(link, new URLSearchParams(link.search).get("layer"));
    else if (button) judge($(".judged", button.parentNode));
    else go(change);
  });

  // An article that one looks at is held.
  const hold = async () => {
    const { status } = document.hidden || !form?.matches("[data-hold]") ? {} : await post(at("keep-hold"));
    if (status === 404 || status === 409) trouble(status);
  };
  if (form) setInterval(hold, (1000 * form.dataset.holdSeconds) / 3);
  hold();

  // News: names and numbers. A part of the page that they concern is fetched again, and never swapped while
  // it has the focus, something ticked, open or selected, or new lines.
  const swap = (part, fresh) => (part.replaceWith(fresh), prepare(fresh));
  const isSelected = (part) => getSelection().type === "Range" && getSelection().containsNode(part, true);
  const isBusy = (part) =>
    part.contains(document.activeElement) || $("details[open], input:checked", part) || isSelected(part);
  const refresh = async (part) => {
    const fresh = await fetched(location.href, `#${part.id}`);
    if (!fresh || !part.isConnected) return;
    part.dataset.seen = fresh.dataset.seen;
    await keeping;
    if (form && Number(fresh.dataset.version) > Number(form.version.value)) trouble(409);
    const ids = (root) => $$("[data-id]", root).map((each) => each.dataset.id);
    const news = ids(fresh).filter((id) => !ids(part).includes(id)).length;
    const isLess = ids(part).some((id) => !ids(fresh).includes(id));
    $(`.news[data-for="${part.id}"]`)?.remove();
    if (!news && !isLess && !isBusy(part)) return swap(part, fresh);
    const button = make("button", news ? `${news} new: show` : "Something changed: show", { type: "button" });
    button.className = "button small news";
    button.onclick = () => (button.remove(), swap(part, fresh));
    button.dataset.for = part.id;
    part.before(button);
  };
  const hear = async (event) => {
    const numbers = JSON.parse(event.data);
    for (const each of $$("[data-number]")) {
      const number = numbers[each.dataset.number];
      if (number !== undefined) Object.assign(each, { textContent: number, hidden: number === null });
    }
    for (const part of $$("[data-live]"))
      if (numbers[part.dataset.live] > Number(part.dataset.seen)) await refresh(part);
  };
  const listen = () => {
    if (document.hidden || !$("#live")) return stream?.close();
    if (stream && stream.readyState !== EventSource.CLOSED) return;
    stream = new EventSource("/live");
    stream.onmessage = hear;
    stream.onopen = stream.onerror = () => {
      $("#live").hidden = false;
      $("#live").textContent = stream.readyState === EventSource.OPEN ? "Live" : "Not live";
    };
  };
  addEventListener("visibilitychange", () => {
    if (document.hidden && form) keep({ keepalive: true });
    listen();
    hold();
  });
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", listen);
}
