const byId = (id) => document.getElementById(id);
const make = (tag, name = "", text = "") => {
  const node = document.createElement(tag);
  node.className = name;
  node.textContent = text;
  return node;
};

// --- light and dark ---
const THEMES = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
const themeButton = byId("theme");
const setTheme = (theme) => {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  themeButton.dataset.theme = theme;
  themeButton.textContent = THEMES[theme];
  try { localStorage.setItem("htpo-theme", theme); } catch { /* a page from a file may have no storage */ }
};
let stored = "auto";
try { stored = localStorage.getItem("htpo-theme"); } catch { /* see above */ }
setTheme(stored in THEMES ? stored : "auto");
themeButton.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(themeButton.dataset.theme) + 1) % names.length]);
});

// --- figures, enlarged ---
const viewer = byId("viewer"), stage = viewer.querySelector(".stage"), picture = stage.querySelector("img");
const STEP = 1.3, MOST = 40;
let scale = 1, left = 0, top_ = 0;
const place = () => { picture.style.transform = `translate(${left}px, ${top_}px) scale(${scale})`; };
const fit = () => { scale = 1; left = top_ = 0; place(); };
const zoom = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) => {
  const next = Math.min(MOST, Math.max(1, scale * factor));
  left = x - (x - left) * next / scale;
  top_ = y - (y - top_) * next / scale;
  scale = next;
  if (scale === 1) left = top_ = 0;
  place();
};
const move = (x, y) => { left += x; top_ += y; place(); };
for (const plot of document.querySelectorAll(".plot")) {
  plot.addEventListener("click", () => {
    const image = plot.querySelector("img");
    picture.src = image.src;
    picture.alt = image.alt;
    viewer.querySelector("b").textContent = image.alt;
    fit();
    viewer.showModal();
  });
}
const ACTIONS = { in: () => zoom(STEP), out: () => zoom(1 / STEP), fit, close: () => viewer.close() };
for (const button of viewer.querySelectorAll("[data-do]")) button.addEventListener("click", () => ACTIONS[button.dataset.do]());
viewer.addEventListener("keydown", (event) => {
  const act = { "+": ACTIONS.in, "=": ACTIONS.in, "-": ACTIONS.out, 0: fit, ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0),
    ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60) }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(event.deltaY < 0 ? STEP : 1 / STEP, event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
stage.addEventListener("pointerdown", (event) => { event.preventDefault(); stage.setPointerCapture(event.pointerId); });
stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) move(event.movementX, event.movementY); });

// --- rollouts ---
const data = JSON.parse(byId("rollouts-data").textContent);
const MOST_ROLLOUTS = 10, MOST_TOKENS = 3000; // on a page of the browser
const NUMBER = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/;
const rgb = (hex) => NUMBER.exec(hex).slice(1).map((part) => parseInt(part, 16));
const shade = (share, stops) => {
  const at = Math.min(1, Math.max(0, share)) * (stops.length - 1), low = Math.floor(at), high = Math.min(low + 1, stops.length - 1);
  const [from, to] = [rgb(stops[low]), rgb(stops[high])];
  const mixed = from.map((value, i) => value + (to[i] - value) * (at - low));
  const [r, g, b] = mixed.map((value) => (value / 255 <= 0.04045 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return { face: `rgb(${mixed.map(Math.round).join(" ")})`, ink: 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff" };
};
const pull = (rollout, i) => (rollout.advantage === null || rollout.weight[i] === null ? null : rollout.weight[i] * rollout.advantage);
const SHADES = {
  entropy: (rollout, i) => shade(rollout.entropy[i] / (data.highest.entropy || 1), data.scales.entropy),
  pull: (rollout, i) => shade(0.5 + (pull(rollout, i) ?? 0) / (data.highest.pull || 1) / 2, data.scales.pull),
};
const groupOf = (rollout, i) => data.groups[rollout.run][`G${rollout.group[i]}`] ?? "";
const told = (rollout, i) => [
  `token ${i + 1}: ${rollout.text[i]}`,
  rollout.entropy[i] === null ? "entropy is not a number" : `entropy ${rollout.entropy[i].toFixed(3)} nats`,
  rollout.logProb[i] === null ? "" : `probability ${Math.exp(rollout.logProb[i]).toPrecision(3)}`,
  groupOf(rollout, i) + (groupOf(rollout, i) && !data.groupedInTraining[rollout.run] ? " (HTPO's groups, not used here)" : ""),
  rollout.weight[i] === null ? "" : `weight ${rollout.weight[i]}${rollout.weight[i] === 0 ? " (not learnt from)" : ""}`,
  pull(rollout, i) === null ? "" : `pulled ${pull(rollout, i) > 0 ? "up" : pull(rollout, i) < 0 ? "down" : "neither way"}, w A = ${pull(rollout, i).toFixed(3)}`,
  rollout.high[i] ? "high entropy" : "",
].filter(Boolean).join(" · ");

const filters = Object.fromEntries(["run", "update", "answer", "group", "text", "shading"].map((name) => [name, byId(`filter-${name}`)]));
const choices = (select, values, all) => {
  for (const value of values) select.add(new Option(value, value));
  select.options[0].textContent = all;
};

const plainText = (one) => one.written?.join("\n").toLowerCase() ?? one.text.join("").replaceAll("␣", " ").replaceAll("↵", "\n").toLowerCase();
const textsOf = (one) => [one.prompt, ...one.judged.map((line) => line[1]), ...one.turns.flatMap((turn) => [turn.action ?? "", turn.shown ?? ""])];
const fits = (one) => {
  const { run, update, answer, group, text } = filters, words = text.value.toLowerCase();
  return (!run.value || one.run === run.value)
    && (!update.value || String(one.update) === update.value)
    && (!answer.value || String(one.correct) === answer.value)
    && (!group.value || one.group.some((_, i) => groupOf(one, i) === group.value))
    && (!words || textsOf(one).some((text) => text.toLowerCase().includes(words)) || plainText(one).includes(words));
};
const pagesOf = (found) => {
  const pages = [];
  let tokens = Infinity;
  for (const one of found) {
    if (tokens + one.size > MOST_TOKENS || pages.at(-1).length === MOST_ROLLOUTS) {
      pages.push([]);
      tokens = 0;
    }
    pages.at(-1).push(one);
    tokens += one.size;
  }
  return pages;
};

const said = byId("said");
const tokenNode = (rollout, i, first) => {
  const node = make("span", "token"), text = make("b", "", rollout.text[i]), { face, ink } = SHADES[filters.shading.value](rollout, i);
  text.style.background = face;
  text.style.color = ink;
  node.classList.toggle("high", Boolean(rollout.high[i]));
  node.classList.toggle("detached", rollout.weight[i] === 0);
  node.classList.toggle("other", Boolean(filters.group.value) && groupOf(rollout, i) !== filters.group.value);
  node.append(text, make("small", "", groupOf(rollout, i).split(" ")[0]));
  node.tabIndex = i === first ? 0 : -1;
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", told(rollout, i));
  return node;
};
const tokensNode = (rollout, from, to, label) => {
  const tokens = make("div", "tokens");
  tokens.setAttribute("role", "group");
  tokens.setAttribute("aria-label", label);
  for (let i = from; i < to; i++) {
    tokens.append(tokenNode(rollout, i, from));
    if (rollout.text[i].includes("↵")) tokens.append(document.createElement("br"));
  }
  followTokens(tokens, said);
  return tokens;
};
const textNode = (text, label, name = "") => {
  const node = make("pre", name, text);
  node.tabIndex = 0;
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", label);
  return node;
};
const writtenNode = (rollout, from, to, label) => (rollout.written ? textNode(rollout.written[from], label, "written")
  : tokensNode(rollout, from, to, `${label}, token by token`));
const turnNodes = (rollout) => {
  const nodes = [];
  let from = 0;
  for (const [number, turn] of rollout.turns.entries()) {
    const to = rollout.written ? from + 1 : Math.min(from + turn.tokens, rollout.text.length), heading = make("h4", "", `Turn ${number + 1} · `);
    if (from === to) break; // of a long episode only the first tokens are here
    heading.append(turn.action === null ? "no action found" : make("bdi", "", turn.action));
    if (turn.invalid) heading.append(" ", make("strong", "", "invalid"));
    nodes.push(heading);
    if (rollout.written?.[from].trim() !== turn.action) nodes.push(writtenNode(rollout, from, to, `turn ${number + 1}`)); // else it is all there
    if (turn.shown !== null) nodes.push(textNode(turn.shown, "what the environment showed then"));
    from = to;
  }
  return nodes;
};
const rolloutNode = (rollout) => {
  const node = make("article", "rollout"), header = make("header"), played = rollout.turns.length > 0;
  const share = `${Math.round(100 * rollout.accuracy)} % of the ${played ? "episodes of this task succeeded" : "answers to this prompt were right"}`;
  const facts = [
    data.runs.length > 1 ? rollout.run : "",
    rollout.update === null ? "" : `update ${rollout.update}`,
    rollout.accuracy === null ? "" : share,
    rollout.advantage === null ? "" : `advantage ${rollout.advantage.toFixed(2)}`,
    rollout.written ? (rollout.length === null ? "" : `${rollout.length} tokens`) : rollout.text.length < rollout.length ? `the first ${rollout.text.length} of ${rollout.length} tokens` : `${rollout.length} tokens`,
  ].filter(Boolean);
  const [yes, no] = played ? ["✓ success", "✗ no success"] : ["✓ right", "✗ wrong"];
  if (rollout.correct !== null) header.append(make("b", rollout.correct ? "right" : "wrong", rollout.correct ? yes : no), " · ");
  header.append(facts.join(" · "));
  const judged = make("dl", "judged");
  for (const [name, text] of rollout.judged) {
    const shown = make("dd");
    shown.append(make("bdi", "", text));
    judged.append(make("dt", "", name), shown);
  }
  judged.tabIndex = 0;
  judged.setAttribute("aria-label", "how it was judged");
  const written = played ? turnNodes(rollout) : [writtenNode(rollout, 0, rollout.text.length, "response")];
  node.append(header, textNode(rollout.prompt, "prompt"), ...(rollout.judged.length ? [judged] : []), ...written);
  return node;
};

let page = 0;
const showRollouts = () => {
  const found = data.rollouts.filter(fits), pages = pagesOf(found);
  page = Math.max(0, Math.min(page, pages.length - 1));
  byId("found").textContent = `${found.length} of ${data.rollouts.length} rollouts` + (pages.length > 1 ? `, page ${page + 1} of ${pages.length}` : "");
  byId("earlier").disabled = page === 0;
  byId("later").disabled = page >= pages.length - 1;
  said.textContent = "";
  byId("list").replaceChildren(...(pages[page] ?? []).map(rolloutNode));
  if (!found.length) byId("list").append(make("p", "soft", "No rollout fits these filters."));
  const name = filters.shading.value, highest = data.highest[name];
  byId("scale").style.background = `linear-gradient(to right, ${data.scales[name].join(", ")})`;
  byId("least").textContent = name === "entropy" ? "sure, 0" : `pushed down, ${(-highest).toFixed(2)} or less`;
  byId("most").textContent = name === "entropy" ? `${highest.toFixed(2)} nats or more, unsure` : `${highest.toFixed(2)} or more, pushed up`;
};
if (data.rollouts.length) { // else there are no filters
  choices(filters.run, data.runs, "all");
  filters.run.closest("label").hidden = data.runs.length < 2;
  const shaded = data.rollouts.some((one) => !one.written), hide = (filter, no) => { filter.closest("label").hidden = no; };
  hide(filters.update, data.rollouts.every((one) => one.update === null));
  hide(filters.group, data.runs.every((run) => !Object.keys(data.groups[run]).length));
  hide(filters.shading, !shaded);
  byId("ramp").hidden = !shaded;
  choices(filters.update, [...new Set(data.rollouts.map((one) => one.update))].filter((step) => step !== null).sort((a, b) => a - b), "all updates");
  choices(filters.group, [...new Set(data.runs.flatMap((run) => Object.values(data.groups[run])))], "all groups");
  for (const filter of Object.values(filters)) {
    filter.addEventListener(filter === filters.text ? "input" : "change", () => { page = 0; showRollouts(); });
  }
  byId("earlier").addEventListener("click", () => { page -= 1; showRollouts(); });
  byId("later").addEventListener("click", () => { page += 1; showRollouts(); });
  byId("reset").addEventListener("click", () => {
    for (const [name, filter] of Object.entries(filters)) filter.value = name === "shading" ? "entropy" : "";
    page = 0;
    showRollouts();
  });
  showRollouts();
}
