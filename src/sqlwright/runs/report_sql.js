"use strict";
// SQL as text on the page: tokens, layout, and which tokens differ. Nothing here reads or changes the document's
// state; every piece of SQL becomes text nodes, so that SQL can never become markup.
const Sql = (() => {
  const TOKEN = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\d+(?:\.\d+)?|[\p{L}_][\p{L}\p{N}_$]*|<=|>=|<>|!=|\|\||\s+|[\s\S]/gu;
  const KEYWORDS = new Set(("select distinct from where group by having order limit offset union all intersect except join " +
    "left right inner outer full cross natural on using as and or not in exists between like glob is null asc desc case " +
    "when then else end with recursive over partition values cast").split(" "));
  const BREAKS = new Set("from where group having order limit union intersect except select".split(" "));
  const JOINS = new Set("join left right inner outer full cross natural".split(" "));
  // characters that are invisible or turn the reading direction: shown by their number, as they can hide SQL
  const INVISIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;
  const SPLIT = new RegExp("(" + INVISIBLE.source + ")", "u");
  const LARGEST_TABLE = 400000;

  const tokens = (sql) => (sql.match(TOKEN) || []).map((text) => ({ text, key: keyOf(text) }));

  function keyOf(text) {
    if (/^\s/.test(text) || text === ";") return "";
    if (text[0] === '"') return "'" + text.slice(1, -1) + "'";
    return text[0] === "'" ? text : text.toLowerCase();
  }

  // Sets `differs` on the tokens of both sides that are in no longest common subsequence; spaces never differ.
  function compare(left, right) {
    const a = left.filter((token) => token.key), b = right.filter((token) => token.key);
    let start = 0, endA = a.length, endB = b.length;
    while (start < endA && start < endB && a[start].key === b[start].key) start++;
    while (endA > start && endB > start && a[endA - 1].key === b[endB - 1].key) { endA--; endB--; }
    const n = endA - start, m = endB - start, width = m + 1;
    for (let i = start; i < endA; i++) a[i].differs = true;
    for (let j = start; j < endB; j++) b[j].differs = true;
    if (n * m > LARGEST_TABLE) return;
    const length = new Uint16Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i--) {
      for (let j = m - 1; j >= 0; j--) {
        length[i * width + j] = a[start + i].key === b[start + j].key
          ? length[(i + 1) * width + j + 1] + 1
          : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < n && j < m;) {
      if (a[start + i].key === b[start + j].key) {
        a[start + i++].differs = false;
        b[start + j++].differs = false;
      } else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) i++;
      else j++;
    }
  }

  // Replaces the space before each outer clause by a new line and any other by a single one; SQL that has its own lines is left as it is.
  function layOut(list) {
    if (list.some((token) => token.text.includes("\n"))) return list;
    let depth = 0, previous = "";
    return list.map((token, index) => {
      if (token.text === "(") depth++;
      if (token.text === ")") depth--;
      if (!/^\s/.test(token.text)) { previous = token.key || previous; return token; }
      const next = list[index + 1] ? list[index + 1].key : "";
      const space = { text: " ", key: "" };
      if (depth > 0 || !previous) return space;
      if (BREAKS.has(next)) return { text: "\n", key: "" };
      return JOINS.has(next) && !JOINS.has(previous) ? { text: "\n  ", key: "" } : space;
    });
  }

  function append(parent, text) {
    for (const part of text.split(SPLIT)) {
      if (!INVISIBLE.test(part)) { parent.append(part); continue; }
      const seen = document.createElement("span");
      seen.className = "hidden-char";
      seen.textContent = "U+" + part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      parent.append(seen);
    }
  }

  // Fills `parent` with the tokens: keywords and strings set apart, neighbouring differences in one mark.
  function show(parent, list) {
    let mark = null;
    list.forEach((token, index) => {
      const joins = mark && !token.key && !token.text.includes("\n") && list[index + 1] && list[index + 1].differs;
      if (!token.differs && !joins) mark = null;
      else if (!mark) parent.append(mark = document.createElement("mark"));
      const home = mark || parent;
      const kind = KEYWORDS.has(token.key) ? "kw" : /^['"]/.test(token.text) ? "str" : "";
      if (!kind) { append(home, token.text); return; }
      const span = document.createElement("span");
      span.className = kind;
      append(span, token.text);
      home.append(span);
    });
    return parent;
  }

  return { tokens, compare, layOut, show };
})();
