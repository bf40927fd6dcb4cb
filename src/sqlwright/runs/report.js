// The report's behaviour: filters kept in the address, the table of questions a page at a time, the loss values
// under the pointer, and the theme. All data becomes text nodes; no HTML is ever made from it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const questions = data.questions;
  const PAGE = 50, PRINTED = 300, BRIEF = 360;
  const compared = questions.some((question) => question.before !== undefined);
  const byId = (id) => document.getElementById(id);
  const FACETS = [
    { key: "outcome", all: "All answers", of: outcomes },
    { key: "database", all: "All databases", of: (question) => one(question.database) },
    { key: "hardness", all: "Any hardness", of: (question) => one(question.hardness) },
    { key: "reason", all: "All error classes", of: (question) => one(question.reason) },
    { key: "category", all: "All categories", of: (question) => one(question.category) },
    { key: "feature", all: "All SQL features", of: (question) => question.features || [] },
  ];
  const OUTCOMES = {
    wrong: "Wrong", right: "Right", won: "Won: wrong before, right now", lost: "Lost: right before, wrong now",
    kept: "Right before and now", never: "Wrong before and now",
  };
  const HARDNESS = ["easy", "medium", "hard", "extra"];
  let state = {}, shown = [], opened = new Set(), printing = false;

  const one = (value) => (value ? [value] : []);

  function outcomes(question) {
    if (question.before === undefined) return [question.correct ? "right" : "wrong"];
    if (question.correct) return ["right", question.before ? "kept" : "won"];
    return ["wrong", question.before ? "lost" : "never"];
  }

  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }

  const count = (number) => number.toLocaleString("en");

  // ---- the state in the address -------------------------------------------------------------------------

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    state = { q: given.get("q") || "", page: Math.max(1, parseInt(given.get("page"), 10) || 1), question: given.get("question") || "" };
    for (const facet of FACETS) state[facet.key] = given.get(facet.key) || "all";
    if (!given.has("outcome")) state.outcome = questions.some((question) => !question.correct) ? "wrong" : "all";
    if (given.get("theme")) setTheme(given.get("theme"));
  }

  function writeAddress() {
    const kept = new URLSearchParams();
    for (const { key } of FACETS) if (state[key] !== "all" || key === "outcome") kept.set(key, state[key]);
    if (state.q) kept.set("q", state.q);
    if (state.page > 1) kept.set("page", state.page);
    try { history.replaceState(null, "", "#" + kept); } catch { /* a sandboxed frame has no address to write */ }
  }

  // ---- filters ------------------------------------------------------------------------------------------

  function textOf(question) {
    question.haystack ??= [question.id, question.question, question.gold, question.prediction, question.detail]
      .filter(Boolean).join("\n").toLowerCase();
    return question.haystack;
  }

  // Sets `shown`, and returns for each facet how many questions each choice would show with the other filters as
  // they are: a question that fails one facet only counts there, one that fails none counts in all.
  function applyFilters() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const counts = FACETS.map(() => new Map());
    shown = [];
    for (const question of questions) {
      if (words.length && !words.every((word) => textOf(question).includes(word))) continue;
      const values = FACETS.map((facet) => facet.of(question));
      const failed = FACETS.map((facet, i) => i).filter((i) => state[FACETS[i].key] !== "all" && !values[i].includes(state[FACETS[i].key]));
      if (failed.length > 1) continue;
      if (!failed.length) shown.push(question);
      for (let i = 0; i < FACETS.length; i++) {
        if (failed.length && failed[0] !== i) continue;
        for (const value of new Set(values[i])) counts[i].set(value, (counts[i].get(value) || 0) + 1);
      }
    }
    return counts;
  }

  const everyValue = FACETS.map((facet) => {
    const values = [...new Set(questions.flatMap(facet.of))];
    if (facet.key === "outcome") return Object.keys(OUTCOMES).filter((name) => compared || name === "wrong" || name === "right");
    const rank = (value) => (facet.key === "hardness" && HARDNESS.includes(value) ? HARDNESS.indexOf(value) : 9);
    return values.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  });

  function buildFilters() {
    const form = byId("filters");
    const search = h("input", { type: "search", placeholder: "Search questions and SQL", "aria-label": "Search questions, SQL and messages", autocomplete: "off", spellcheck: "false" });
    let waiting;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => change({ q: search.value }), 120);
    });
    form.append(search);
    FACETS.forEach((facet, i) => {
      const select = h("select", { "aria-label": facet.all, name: facet.key, onchange: () => change({ [facet.key]: select.value }) });
      select.hidden = everyValue[i].length === 0;
      form.append(select);
    });
    form.append(h("button", { type: "button", onclick: () => change({ q: "", ...Object.fromEntries(FACETS.map((f) => [f.key, "all"])) }) }, "Clear"));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = questions.length === 0;
  }

  function showFilters(counts) {
    const form = byId("filters");
    const search = form.querySelector("input");
    if (search.value !== state.q) search.value = state.q;
    FACETS.forEach((facet, i) => {
      const select = form.elements.namedItem(facet.key);
      const names = everyValue[i].includes(state[facet.key]) || state[facet.key] === "all" ? everyValue[i] : [...everyValue[i], state[facet.key]];
      select.replaceChildren(h("option", { value: "all" }, facet.all), ...names.map((name) => {
        const title = facet.key === "outcome" ? OUTCOMES[name] || name : facet.key === "reason" ? name.replaceAll("_", " ") : name;
        return h("option", { value: name }, `${title} (${count(counts[i].get(name) || 0)})`);
      }));
      select.value = state[facet.key];
      select.classList.toggle("set", state[facet.key] !== "all");
    });
  }

  function change(values) {
    state = { ...state, question: "", page: 1, ...values };
    opened = new Set();
    writeAddress();
    draw();
  }

  // ---- the table ----------------------------------------------------------------------------------------

  function draw() {
    showFilters(applyFilters());
    if (state.question) goToQuestion();
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(state.page, pages);
    const first = printing ? 0 : (state.page - 1) * PAGE;
    const rows = shown.slice(first, printing ? PRINTED : first + PAGE);
    const cut = printing && rows.length < shown.length ? `, the first ${count(rows.length)} printed` : "";
    byId("count").textContent = questions.length ? `${count(shown.length)} of ${count(questions.length)}${cut}` : "";
    if (!rows.length) {
      byId("table").replaceChildren(h("p", { class: "empty" }, questions.length ? "No question matches these filters." : "This page holds no questions."));
    } else {
      const heads = [["verdict", "Verdict"], ["question", "Question"], ["gold", "Gold"], ["prediction", "Prediction"], ["reason", "Error class"]];
      byId("table").replaceChildren(h("table", {},
        h("thead", {}, h("tr", {}, ...heads.map(([name, title]) => h("th", { scope: "col", class: "c-" + name }, title)))),
        h("tbody", {}, ...rows.flatMap(row))));
    }
    showPager(pages, first, rows.length);
  }

  function showPager(pages, first, many) {
    const turn = (by) => () => {
      state.page += by;
      writeAddress();
      draw();
      byId("questions").scrollIntoView();
      byId("questions").focus({ preventScroll: true });
    };
    const pager = byId("pager");
    pager.hidden = shown.length === 0;
    pager.replaceChildren(
      h("button", { type: "button", disabled: state.page === 1, onclick: turn(-1) }, "Previous"),
      h("span", {}, `${count(first + 1)}–${count(first + many)} of ${count(shown.length)}`),
      h("button", { type: "button", disabled: state.page === pages, onclick: turn(1) }, "Next"),
      h("span", { class: "hint muted small" }, h("kbd", {}, "/"), " search  ", h("kbd", {}, "↑"), " ", h("kbd", {}, "↓"), " move  ", h("kbd", {}, "Enter"), " open"));
  }

  const clipped = (sql) => (sql.length > BRIEF ? sql.slice(0, BRIEF) + "…" : sql);

  function row(question) {
    const gold = Sql.tokens(clipped(question.gold || "")), prediction = Sql.tokens(clipped(question.prediction || ""));
    if (!question.correct) Sql.compare(gold, prediction);
    const moved = { won: "▲ won", lost: "▼ lost" }[outcomes(question)[1]];
    const button = h("button", { type: "button", class: "toggle " + (question.correct ? "is-right" : "is-wrong"), "aria-expanded": "false", "aria-label": `${question.correct ? "Right" : "Wrong"}${moved ? ", " + moved.slice(2) : ""}: ${question.question || question.id}` }, question.correct ? "✓ right" : "✕ wrong");
    const line = h("tr", { class: "row" },
      h("td", {}, button, moved ? h("span", { class: "moved muted" }, moved) : ""),
      h("td", {}, h("div", { class: "ask", dir: "auto" }, question.question || ""), h("div", { class: "meta" }, h("bdi", {}, question.database || ""), question.hardness ? " · " + question.hardness : "")),
      h("td", {}, Sql.show(h("div", { class: "brief", dir: "ltr" }), gold)),
      h("td", {}, Sql.show(h("div", { class: "brief", dir: "ltr" }), prediction)),
      h("td", { class: "reason" }, (question.reason || "").replaceAll("_", " ")));
    line.addEventListener("click", (event) => {
      if (!event.target.closest("a") && !String(getSelection())) toggle(question, line, button);
    });
    const detail = opened.has(question) ? expand(line, button, question) : null;
    return detail ? [line, detail] : [line];
  }

  function toggle(question, line, button) {
    if (opened.delete(question)) {
      line.nextElementSibling.remove();
      line.classList.remove("open");
      button.setAttribute("aria-expanded", "false");
    } else {
      opened.add(question);
      line.after(expand(line, button, question));
    }
  }

  function expand(line, button, question) {
    line.classList.add("open");
    button.setAttribute("aria-expanded", "true");
    const gold = Sql.tokens(question.gold || ""), prediction = Sql.tokens(question.prediction || "");
    Sql.compare(gold, prediction);
    const parts = [h("div", { class: "pair" }, sqlBox("Gold", question.gold, gold), sqlBox("Prediction", question.prediction, prediction))];
    if (question.detail) parts.push(h("p", { dir: "auto" }, h("b", {}, question.correct ? "Note: " : (question.reason || "").replaceAll("_", " ") + ": "), question.detail));
    if (question.goldResult || question.predictedResult) {
      const [missing, extra] = oddRows(question.goldResult, question.predictedResult, question.correct);
      parts.push(h("div", { class: "pair" }, resultBox("Result of the gold", question.goldResult, missing), resultBox("Result of the prediction", question.predictedResult, extra)));
    }
    if (sameRows(question)) parts.push(h("p", { class: "under" }, "Both results hold the same rows" + (question.goldResult.rows.length > 1 ? "; their order or the metric's other rules decided." : "; the metric's other rules decided.")));
    if (question.predictionBefore && question.predictionBefore !== question.prediction) {
      const before = Sql.tokens(question.predictionBefore);
      Sql.compare(Sql.tokens(question.gold || ""), before);
      parts.push(sqlBox("Prediction before, " + (question.before ? "right" : "wrong"), question.predictionBefore, before));
    }
    const facts = [question.id && "Question " + question.id, question.category, ...(question.features || [])].filter(Boolean);
    parts.push(h("p", { class: "under" }, facts.join(" · ") + "  ", h("a", { class: "link", href: "#" + new URLSearchParams({ question: question.id || "" }) }, "Link to this question")));
    return h("tr", { class: "detail" }, h("td", { colspan: 5 }, h("div", { class: "inner" }, ...parts)));
  }

  function sqlBox(title, sql, list) {
    const copy = h("button", { type: "button", class: "link" }, "Copy");
    copy.addEventListener("click", () => navigator.clipboard.writeText(sql || "").then(() => { copy.textContent = "Copied"; }, () => { copy.textContent = "Not allowed here"; }));
    const head = h("header", {}, h("h3", {}, title), navigator.clipboard && sql ? copy : "");
    return h("div", {}, head, sql ? Sql.show(h("pre", {}), Sql.layOut(list)) : h("p", { class: "muted" }, "No SQL."));
  }

  // Returns the rows of each result that the other one lacks; nothing where either is cut off, as the rows that
  // are not here could be anywhere.
  function oddRows(gold, predicted, correct) {
    if (correct || !gold || !predicted || !whole(gold) || !whole(predicted)) return [new Set(), new Set()];
    const lacking = (from, other) => {
      const left = new Map();
      for (const cells of other.rows) left.set(JSON.stringify(cells), (left.get(JSON.stringify(cells)) || 0) + 1);
      return new Set(from.rows.filter((cells) => {
        const key = JSON.stringify(cells), many = left.get(key) || 0;
        left.set(key, many - 1);
        return many <= 0;
      }));
    };
    return [lacking(gold, predicted), lacking(predicted, gold)];
  }

  function sameRows({ goldResult: gold, predictedResult: predicted, correct }) {
    if (correct || !gold || !predicted || !whole(gold) || !whole(predicted)) return false;
    return gold.rows.length === predicted.rows.length && oddRows(gold, predicted, correct).every((odd) => odd.size === 0);
  }

  const whole = (result) => !result.truncated && !result.hidden && (result.total ?? result.rows.length) <= result.rows.length;

  function resultBox(title, result, odd) {
    if (!result) return h("div", {}, h("header", {}, h("h3", {}, title)), h("p", { class: "muted" }, "No result."));
    const body = result.rows.map((cells) => h("tr", { class: odd.has(cells) ? "odd" : undefined }, ...cells.map(cell)));
    const table = h("table", {}, h("thead", {}, h("tr", {}, ...result.columns.map((name) => h("th", { scope: "col" }, h("div", { class: "cell", dir: "auto" }, name))))), h("tbody", {}, ...body));
    const total = result.total ?? result.rows.length;
    const many = `${count(total)}${result.truncated ? " or more" : ""} ${total === 1 && !result.truncated ? "row" : "rows"}`;
    const under = [total > result.rows.length || result.truncated ? `First ${count(result.rows.length)} of ${many}` : many];
    if (result.hidden) under.push(`${count(result.hidden)} more columns`);
    if (odd.size) under.push(`${count(odd.size)} marked: not in the other result`);
    return h("div", {}, h("header", {}, h("h3", {}, title)), h("div", { class: "result", tabindex: "0", role: "region", "aria-label": title }, table), h("p", { class: "under" }, under.join(" · ")));
  }

  function cell(value) {
    const [kind, text] = value === null ? ["null", "NULL"] : Array.isArray(value) ? value : ["text", value];
    return h("td", { class: kind }, h("div", { class: "cell", dir: kind === "text" ? "auto" : undefined }, text));
  }

  function goToQuestion() {
    const wanted = questions.find((question) => question.id === state.question);
    if (!wanted) return;
    if (!shown.includes(wanted)) {
      for (const { key } of FACETS) state[key] = "all";
      state.q = "";
      showFilters(applyFilters());
    }
    state.page = Math.floor(shown.indexOf(wanted) / PAGE) + 1;
    opened.add(wanted);
  }

  function followAddress() {
    opened = new Set();
    readAddress();
    draw();
    const open = state.question && document.querySelector(".row.open");
    if (open) { open.scrollIntoView({ block: "center" }); open.querySelector("button").focus({ preventScroll: true }); }
    else if (/[#&](outcome|database|hardness|reason|category|feature)=/.test(location.hash)) byId("questions").scrollIntoView();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); byId("filters").querySelector("input").focus(); }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && event.target.classList.contains("toggle")) {
      const buttons = [...document.querySelectorAll(".toggle")];
      const next = buttons[buttons.indexOf(event.target) + step];
      if (next) { event.preventDefault(); next.focus(); }
    }
  }

  // ---- loss values, theme, print --------------------------------------------------------------------------

  function followLoss() {
    const plot = byId("loss");
    if (!plot || !data.losses.length) return;
    const cursor = byId("loss-cursor"), tip = byId("loss-values");
    let at = data.losses.length - 1;
    const show = (index) => {
      at = Math.max(0, Math.min(data.losses.length - 1, index));
      const point = data.losses[at];
      cursor.setAttribute("x1", point.x + "%");
      cursor.setAttribute("x2", point.x + "%");
      cursor.setAttribute("visibility", "visible");
      tip.replaceChildren(...[["step", point.step], ...point.values].map(([name, value]) => h("div", {}, h("span", { class: "muted" }, name), h("b", {}, value))));
      tip.hidden = false;
      tip.style.left = point.x > 50 ? "auto" : `calc(${point.x}% + 12px)`;
      tip.style.right = point.x > 50 ? `calc(${100 - point.x}% + 12px)` : "auto";
    };
    const hide = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect(), x = 100 * (event.clientX - box.left) / box.width;
      show(data.losses.reduce((best, point, i) => (Math.abs(point.x - x) < Math.abs(data.losses[best].x - x) ? i : best), 0));
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("focus", () => show(at));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      if (step) { event.preventDefault(); show(at + step); }
    });
  }

  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";

  function setTheme(name) {
    if (name === "dark" || name === "light") document.documentElement.dataset.theme = name;
    byId("theme").textContent = isDark() ? "Light theme" : "Dark theme";
  }

  function startTheme() {
    let stored = "";
    try { stored = localStorage.getItem("sqlwright-theme"); } catch { /* storage may be forbidden for local files */ }
    byId("theme").hidden = false;
    setTheme(stored);
    prefersDark.addEventListener("change", () => setTheme(""));
    byId("theme").addEventListener("click", () => {
      setTheme(isDark() ? "light" : "dark");
      try { localStorage.setItem("sqlwright-theme", document.documentElement.dataset.theme); } catch { /* as above */ }
    });
  }

  function print(on) {
    printing = on;
    for (const details of document.querySelectorAll(on ? "details:not([open])" : "details.printed")) {
      details.open = on;
      details.classList.toggle("printed", on);
    }
    draw();
  }

  startTheme();
  buildFilters();
  followLoss();
  addEventListener("hashchange", followAddress);
  addEventListener("keydown", onKey);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  followAddress();
  document.body.dataset.ready = "true";
})();
