"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const details = document.getElementById("details");
const engine = data.engine.charAt(0).toUpperCase() + data.engine.slice(1);

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function seconds(value) { return value ? value.toFixed(value < 10 ? 2 : 0) + " s" : "–"; }

// A text of several lines is shown as such; anything else as JSON, so that "" is not nothing.
function shown(value) {
  if (typeof value === "string" && value.trimEnd().includes("\n")) return value;
  return value === undefined ? "" : JSON.stringify(value, null, 1);
}

function list(pairs) {
  const made = element("dl");
  for (const [name, value] of pairs) if (value) made.append(element("dt", name), element("dd", value));
  return made;
}

// The longest common subsequence of words, or of lines where there are many, tells which of them
// only one side has.
function diff(left, right) {
  const words = (text) => text.match(/\s+|\S+/g) || [], lines = (text) => text.match(/.*\n|.+$/g) || [];
  const many = words(left).length * words(right).length > 1e6;
  const [a, b] = [left, right].map(many ? lines : words);
  const size = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--)
    size[i][j] = a[i] === b[j] ? size[i + 1][j + 1] + 1 : Math.max(size[i + 1][j], size[i][j + 1]);
  const one = element("pre"), two = element("pre");
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      one.append(a[i++]); two.append(b[j++]);
    } else if (j >= b.length || (i < a.length && size[i + 1][j] >= size[i][j + 1])) {
      one.append(element("del", a[i++]));
    } else { two.append(element("ins", b[j++])); }
  }
  return [one, two];
}

function observations(square) {
  const table = element("table"), head = element("tr");
  for (const title of ["fact", "Docker", engine]) head.append(element("th", title, { scope: "col" }));
  table.append(element("thead"));
  table.tHead.append(head);
  const theirs = square.reference || {}, ours = square.observations;
  const differing = new Map(square.differences.map((one) => [one.fact, one]));
  const names = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].sort();
  const body = element("tbody");
  for (const name of names.sort((x, y) => differing.has(y) - differing.has(x))) {
    const row = element("tr"), left = element("td"), right = element("td");
    const apart = differing.get(name);
    row.append(element("th", name, { scope: "row" }));
    if (apart) {
      row.className = apart.divergence ? "meant" : "other";
      row.firstChild.prepend(apart.divergence ? "≈ " : "≠ ");
      const [one, two] = diff(shown(theirs[name]), shown(ours[name]));
      left.append(one); right.append(two);
      if (apart.reason) right.append(element("p", apart.reason + " (" + apart.divergence + ")"));
    } else { left.append(element("pre", shown(theirs[name]))); right.append(element("pre", shown(ours[name]))); }
    row.append(left, right);
    body.append(row);
  }
  table.append(body);
  return names.length ? table : element("p", "It observed nothing that is compared.");
}

function machine(cell) {
  const it = cell.machine;
  return list([
    ["cell", cell.title], ["machine", it.how], ["kernel", it.kernel], ["cgroups", it.cgroups],
    ["store", cell.store], ["init", cell.init], ["security module", cell.lsm],
    ["engine", [it.engine, it.version].filter(Boolean).join(" ")],
    ["compared with", "Docker " + cell.engine], ["ready after", seconds(it.took)], ["problem", it.problem],
  ]);
}

function configuration(cell) {
  const findings = cell.machine.config, box = element("details");
  const missing = findings.filter((one) => one.state === "missing");
  const words = findings.length ? `${findings.length - missing.length} of ${findings.length} options are there`
    : "not known";
  box.append(element("summary", "The kernel's configuration: " + words));
  const table = element("table"), body = element("tbody");
  for (const one of [...missing, ...findings.filter((each) => each.state !== "missing")]) {
    const row = element("tr");
    const gone = one.state === "missing";
    row.append(element("th", (gone ? "✗ " : "✓ ") + one.title, { scope: "row" }),
      element("td", one.symbols), element("td", gone ? one.need + ", missing: " + one.cost : one.state));
    if (gone) row.className = "meant";
    body.append(row);
  }
  table.append(body);
  box.append(table);
  return box;
}

function open(title, sign, ...parts) {
  const close = element("button", "×", { type: "button", class: "close", "aria-label": "Close" });
  close.addEventListener("click", () => { details.hidden = true; location.hash = ""; });
  const heading = element("h2");
  if (sign) heading.append(element("span", sign.sign, { class: "sign " + sign.name }), " ");
  heading.append(title);
  details.replaceChildren(close, heading, ...parts);
  details.hidden = false;
  details.scrollTop = 0;
}

function openSquare(number) {
  const square = data.squares[number], status = data.statuses[square.status];
  const cell = data.cells.find((one) => one.name === square.cell);
  const parts = [list([
    ["ended", status.word], ["cell", cell.name],
    ["durations", `scenario ${seconds(square.duration)}, with its machine ${seconds(square.took)}`],
    ["logs", square.kept], ["again", square.again],
  ]), element("h3", "Observations"), observations(square)];
  if (square.complaint) parts.push(element("h3", "Complaint"), element("pre", square.complaint, { class: "log" }));
  parts.push(element("h3", "Machine"), machine(cell), configuration(cell));
  open(square.scenario, { sign: status.sign, name: square.status }, ...parts);
  for (const one of document.querySelectorAll("[aria-current]")) one.removeAttribute("aria-current");
  document.querySelector(`[data-square="${number}"]`).setAttribute("aria-current", "true");
}

function openCell(number) {
  const cell = data.cells[number], mine = data.squares.filter((one) => one.cell === cell.name);
  const slow = [...mine].sort((x, y) => y.took - x.took).slice(0, 10);
  const table = element("table"), body = element("tbody");
  for (const one of slow) {
    const row = element("tr");
    row.append(element("th", one.scenario, { scope: "row" }), element("td", seconds(one.took)));
    body.append(row);
  }
  table.append(body);
  open(cell.name, null, machine(cell), configuration(cell), element("h3", "The slowest"), table);
}

function follow() {
  const [kind, number] = location.hash.slice(1).split("-");
  if (kind === "square" && data.squares[number]) openSquare(Number(number));
  if (kind === "cell" && data.cells[number]) openCell(Number(number));
}

function filter() {
  const wanted = [...document.querySelectorAll("nav [aria-pressed=true]")].map((one) => one.dataset.filter);
  const text = document.getElementById("find").value.toLowerCase();
  for (const row of document.querySelectorAll("#matrix tbody tr:not(.group)")) {
    const right = !wanted.length || wanted.some((name) => row.querySelector(".sign." + name));
    row.hidden = !(right && row.textContent.toLowerCase().includes(text));
  }
}

document.getElementById("matrix").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  location.hash = button.dataset.square ? "square-" + button.dataset.square : "cell-" + button.dataset.cell;
  follow();
});
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => {
  button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
  filter();
});
document.getElementById("find").addEventListener("input", filter);
window.addEventListener("hashchange", follow);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") details.hidden = true; });
follow();
