// The strip of a LayerBoard: a block is a checkbox, checked = it learns. Python tells what is so (`state`) and
// what is measured (`live`); the page only asks, by messages, and shows what it asked until Python confirms.
const SMALLEST = 30;                    // px: a block must stay easy to hit
const ICON = { on: "♨︎", off: "❄︎", part: "◐", ask: "…" };
const number = (n) => n.toLocaleString("en");
const short = (v) => (v === null || v === undefined ? "–" : Math.abs(v) >= 1e4 ? v.toExponential(1) : String(+v.toPrecision(2)));
const shape = (s) => (s ? s.slice(1).join("×") || "1" : "?");
let boards = 0;

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

function render({ model, el }) {
  const id = `tl-board-${++boards}`;
  const root = make("div", "tl-board", el);
  const head = make("div", "tl-head", root);
  const progress = make("div", "tl-progress", root);
  const row = make("div", "tl-row", root);
  const trays = make("div", "tl-trays", root);
  const scale = make("div", "tl-scale", root);
  const info = make("div", "tl-info", root);
  const trap = make("div", "tl-trap", root);
  const status = make("div", "tl-status", root);
  info.id = `${id}-info`;
  status.setAttribute("role", "status");
  row.setAttribute("role", "group");

  let layers, blocks, items;            // items: every block and every layer shown, in reading order
  let pending = new Map();              // layer number -> what the page asked and Python has not yet answered
  let anchor = null, current = null, late = 0;

  const asked = (i) => (pending.has(i) ? pending.get(i) : model.get("state").asked[i]);
  const learns = (i) => model.get("state").learns[i];
  const verdict = (list, get) => {      // "on", "off", "part" or null (nothing to learn) of some layers
    const known = list.map(get).filter((v) => v !== null && v !== undefined);
    if (!known.length) return null;
    return known.every(Boolean) ? "on" : known.some(Boolean) ? "part" : "off";
  };

  function build() {
    layers = model.get("layers");
    blocks = model.get("blocks");
    items = [];
    row.replaceChildren();
    trays.replaceChildren();
    row.setAttribute("aria-label", "Blocks of the model, from input to output. Checked: it learns.");
    if (!blocks.length) make("p", "tl-empty", row, "This model has no parameters: there is nothing to freeze.");
    blocks.forEach((block, b) => {
      block.leaves = layers.map((layer, i) => (layer.block === b ? i : -1)).filter((i) => i >= 0);
      const column = make("div", "tl-col", row);
      const up = make("div", "tl-up", column);
      make("i", "tl-ghost", up);
      make("i", "tl-bar", up);
      block.column = column;
      addItem(column, { name: block.name, label: block.label, count: block.count, leaves: block.leaves, block: b });
      const down = make("div", "tl-down", column);
      make("i", "tl-moved", down);
      make("i", "tl-drift", down);
      if (block.leaves.length > 1) addExpander(block, b, column);
    });
    model.get("unfolded").forEach((b) => blocks[b]?.tray && unfold(b, true));
    if (!items.some((item) => item === current)) current = items[0] ?? null;
    rove();
    size();
    draw();
    flow();
  }

  function addItem(parent, item) {
    const button = make("button", "tl-block", parent);
    button.type = "button";
    button.setAttribute("role", "checkbox");
    button.setAttribute("aria-describedby", info.id);
    button.dataset.layer = item.name;
    item.icon = make("span", "tl-icon", button);
    item.icon.setAttribute("aria-hidden", "true");
    make("span", "tl-name", button, item.label);
    item.warn = make("span", "tl-warn", button);
    item.warn.setAttribute("aria-hidden", "true");
    item.button = button;
    button.addEventListener("mouseenter", () => tell(item));
    button.addEventListener("mouseleave", () => current && tell(current));
    button.addEventListener("focus", () => go(item, false));
    button.addEventListener("click", (event) => toggle(item, event.shiftKey));
    button.addEventListener("keydown", (event) => key(item, event));
    items.push(item);
    return item;
  }

  function addExpander(block, b, column) {
    block.expander = make("button", "tl-open", column, `▸ ${block.leaves.length}`);
    block.expander.type = "button";
    block.expander.setAttribute("aria-label", `${block.leaves.length} layers of ${block.label}`);
    block.expander.setAttribute("aria-expanded", "false");
    block.expander.addEventListener("click", () => { unfold(b, !block.tray.childElementCount); remember(); });
    block.tray = make("div", "tl-tray", trays);
    block.tray.setAttribute("role", "group");
    block.tray.setAttribute("aria-label", `Layers of ${block.label}`);
    block.tray.hidden = true;
  }

  function unfold(b, open) {
    const block = blocks[b];
    items = items.filter((item) => item.block !== b || item.leaves === block.leaves);
    block.tray.replaceChildren();
    block.tray.hidden = !open;
    if (open) {
      make("span", "tl-tray-name", block.tray, block.label);
      block.leaves.forEach((i) => addItem(block.tray, {
        name: layers[i].name, label: layers[i].label, count: layers[i].count, leaves: [i], block: b }));
    }
    block.expander.setAttribute("aria-expanded", String(open));
    block.expander.textContent = `${open ? "▾" : "▸"} ${block.leaves.length}`;
    if (!items.includes(current)) current = items.find((item) => item.block === b);
    rove();
    size();
    draw();
  }

  function remember() {
    keep("unfolded", blocks.map((block, b) => (block.tray?.childElementCount ? b : -1)).filter((b) => b >= 0));
  }

  // ---------------------------------------------------------------- asking
  function safely(act) {                // without a kernel, sending throws
    try {
      act();
    } catch (error) {
      console.debug("LayerBoard:", error);
    }
  }

  function keep(name, value) {
    safely(() => { model.set(name, value); model.save_changes(); });
  }

  function ask(message) {
    safely(() => model.send(message));
    clearTimeout(late);
    late = setTimeout(() => {
      if (pending.size) say("The kernel has not answered. If it was stopped or restarted, run this cell again.");
    }, 4000);
  }

  function toggle(item, range) {
    if (verdict(item.leaves, asked) === null) return say(`${item.label} has no parameters to freeze.`);
    const on = verdict(item.leaves, asked) !== "on";
    let chosen = [item];
    if (range && anchor && items.includes(anchor)) {
      const same = items.filter((other) => (other.leaves.length > 1 || blocks[other.block].leaves === other.leaves)
        === (item.leaves.length > 1 || blocks[item.block].leaves === item.leaves) || other === anchor || other === item);
      const [from, to] = [same.indexOf(anchor), same.indexOf(item)].sort((a, b) => a - b);
      chosen = same.slice(from, to + 1);
    }
    anchor = item;
    const numbers = [...new Set(chosen.flatMap((one) => one.leaves))].filter((i) => asked(i) !== null);
    numbers.forEach((i) => pending.set(i, on));
    draw();
    ask({ op: "set", names: numbers.map((i) => layers[i].name), learns: on });
  }

  function key(item, event) {
    const inTray = !(blocks[item.block].leaves === item.leaves);
    const row = items.filter((other) => (blocks[other.block].leaves !== other.leaves) === inTray
      && (!inTray || other.block === item.block));
    const at = row.indexOf(item), block = blocks[item.block];
    const target = { ArrowRight: row[at + 1], ArrowLeft: row[at - 1], Home: row[0], End: row.at(-1) };
    let done = true;
    if (event.key in target) go(target[event.key] ?? item, true);
    else if (event.key === "ArrowDown" && !inTray && block.tray) {
      if (!block.tray.childElementCount) { unfold(item.block, true); remember(); }
      go(items.find((other) => other.block === item.block && other.leaves !== block.leaves), true);
    } else if ((event.key === "ArrowUp" || event.key === "Escape") && inTray) {
      const up = items.find((other) => other.leaves === block.leaves);
      if (event.key === "Escape") { unfold(item.block, false); remember(); }
      go(up, true);
    } else if (event.key === " ") toggle(item, event.shiftKey);
    else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) ask({ op: event.shiftKey ? "redo" : "undo" });
    else if (event.key === "y" && (event.ctrlKey || event.metaKey)) ask({ op: "redo" });
    else done = event.key.startsWith("Arrow");
    if (done) { event.preventDefault(); event.stopPropagation(); }   // JupyterLab has plans for these keys too
    else if (event.key === "Enter") event.stopPropagation();
  }

  function go(item, focus) {
    if (!item) return;
    current = item;
    rove();
    tell(item);
    if (focus) item.button.focus();
    if (model.get("here") !== item.name) keep("here", item.name);
  }

  const rove = () => items.forEach((item) => { item.button.tabIndex = item === current ? 0 : -1; });

  // ---------------------------------------------------------------- showing
  function say(text) { status.textContent = text; }

  function size() {                     // the largest scale at which the blocks fit on one line
    const room = (row.clientWidth || 900) - 5 * blocks.length - 4;
    const roots = blocks.map((block) => Math.sqrt(block.count));
    const sum = (k) => roots.reduce((total, r) => total + Math.max(SMALLEST, k * r), 0);
    let low = 0, high = Math.max(2, 160 / Math.max(1, ...roots));   // a small model stays small
    for (let i = 0; i < 30; i++) { const k = (low + high) / 2; if (sum(k) > room) high = k; else low = k; }
    const k = low || 0.01;
    items.forEach((item) => {
      const width = Math.max(SMALLEST, k * Math.sqrt(item.count));
      item.button.style.width = `${width.toFixed(1)}px`;
      item.button.classList.toggle("tl-narrow", width < item.label.length * 7.5 + 12);
    });
    const nice = 10 ** Math.floor(Math.log10((120 / k) ** 2));
    scale.replaceChildren();
    if (!blocks.length) return;
    const bar = make("span", "tl-ruler", scale);
    bar.style.width = `${(k * Math.sqrt(nice)).toFixed(1)}px`;
    make("span", "", scale, `${number(nice)} parameters; width grows with their square root, but is at least ${SMALLEST} px.`);
    const legend = make("span", "tl-legend", scale);
    legend.innerHTML = `<span><i class="tl-key tl-on"></i>${ICON.on} learns</span>
      <span><i class="tl-key tl-off"></i>${ICON.off} frozen</span><span>${ICON.ask} asked, not yet done</span>
      <span class="tl-live-only"><i class="tl-key tl-bar"></i>above: gradient norm (log, 3 decades; dashed: last one before freezing)</span>
      <span class="tl-live-only"><i class="tl-key tl-moved"></i>below left: weights moved</span>
      <span class="tl-live-only"><i class="tl-key tl-drift"></i>below right: features drifted (1 − CKA, full = 1)</span>`;
  }

  function draw() {
    const state = model.get("state");
    items.forEach((item) => {
      const want = verdict(item.leaves, asked), have = verdict(item.leaves, learns);
      const busy = item.leaves.some((i) => asked(i) !== learns(i));
      const trapped = item.leaves.filter((i) => state.trap[i]).length;
      const { button } = item;
      button.setAttribute("aria-checked", { on: "true", off: "false", part: "mixed" }[want] ?? "false");
      button.setAttribute("aria-disabled", String(want === null));
      button.setAttribute("aria-busy", String(busy));
      button.dataset.applied = have ?? "none";
      const words = { on: "learns", off: "frozen", part: "partly frozen" };
      button.setAttribute("aria-label", `${item.label}, ${number(item.count)} parameters, ${
        busy ? `asked: ${words[want]}, still ${words[have]}` : words[have] ?? "nothing to learn"}${
        trapped ? ", warning: BatchNorm statistics still move" : ""}`);
      item.icon.textContent = busy ? ICON.ask : ICON[have] ?? "";
      item.warn.textContent = trapped ? "⚠" : "";
    });
    head.textContent = state.summary;
    const count = state.trap.filter(Boolean).length, held = state.holds;
    trap.hidden = !count && !held;
    trap.dataset.kind = count ? "trap" : "held";
    trap.replaceChildren();
    if (count) {
      make("span", "", trap, `⚠ ${count} BatchNorm layer${count > 1 ? "s" : ""} with frozen weights, but moving statistics: in training they still change what the frozen part computes. `);
      cure("Hold their statistics", true);
    } else if (held) {
      make("span", "", trap, `✔ The statistics of ${held} frozen BatchNorm layer${held > 1 ? "s are" : " is"} held still. `);
      cure("Let them move again", false);
    }
    if (current) tell(current);
  }

  function cure(label, hold) {
    const button = make("button", "tl-cure", trap, label);
    button.type = "button";
    button.addEventListener("click", () => { ask({ op: "batchnorm", hold }); current?.button.focus(); });
  }

  function flow() {                     // the measured values, as bars around each block
    const live = model.get("live");
    const some = live.gradient?.length > 0;
    root.classList.toggle("tl-has-live", some);
    progress.textContent = live.words ?? "";
    if (!some) return;
    const top = Math.max(...live.gradient.map((v) => v ?? 0), ...live.ghost.map((v) => v ?? 0), 1e-12);
    const far = Math.max(...live.change.filter(Number.isFinite), 1e-12);
    const log = (v) => (v ? Math.max(3, 100 * (1 + Math.log10(v / top) / 3)) : 0);
    blocks.forEach(({ column }, b) => {
      const alive = live.gradient[b] !== null;
      column.querySelector(".tl-up .tl-bar").style.height = `${alive ? log(live.gradient[b]) : 0}%`;
      column.querySelector(".tl-ghost").style.height = `${alive ? 0 : log(live.ghost[b])}%`;
      column.querySelector(".tl-down .tl-moved").style.height = `${100 * Math.min(1, (live.change[b] ?? 0) / far)}%`;
      column.querySelector(".tl-down .tl-drift").style.height = `${100 * Math.min(1, live.drift[b] ?? 0)}%`;
    });
    root.dataset.step = live.step;
    if (current) tell(current);
  }

  function tell(item) {                 // everything about one block or layer, in one line or two
    const state = model.get("state"), live = model.get("live"), b = item.block;
    const first = layers[item.leaves[0]], whole = blocks[b].leaves === item.leaves;
    const [into, out] = whole ? blocks[b].shapes : [first?.into, first?.out];
    const have = { on: "learns", off: "frozen", part: "partly frozen" }[verdict(item.leaves, learns)] ?? "nothing to learn";
    const bn = item.leaves.filter((i) => state.batchnorm[i]);
    const facts = [whole && item.leaves.length > 1 ? `${item.leaves.length} layers` : first?.kind, `${number(item.count)} parameters, ${have}`];
    if (!whole && first.shared) facts.push(`shares its weights with ${first.shared}`);
    if (into || out) facts.push(`${shape(into)} → ${shape(out)}`);
    if (state.rate[b]) facts.push(`learning rate ${state.rate[b]}`);
    if (bn.length) {
      const modes = [...new Set(bn.map((i) => state.batchnorm[i]))].map((m) => (m === "batch" ? "batch" : "running"));
      facts.push(`BatchNorm uses ${modes.join(" and ")} statistics${bn.some((i) => state.held[i]) ? " (held)" : ""}${
        bn.some((i) => state.trap[i]) ? " ⚠ not held: they move in training" : ""}`);
    }
    if (live.gradient?.length) {
      const norm = live.gradient[b];
      facts.push(norm === null ? `no gradient (last ${short(live.ghost[b])})` : `gradient ${short(norm)}`,
        `weights moved ${short(100 * (live.change[b] ?? 0))} %`);
      if (live.drift[b] !== null && live.drift[b] !== undefined) facts.push(`features drifted ${short(live.drift[b])}`);
    }
    info.replaceChildren();
    make("b", "", info, item.name || "(the model itself)");
    make("span", "", info, ` · ${facts.filter(Boolean).join(" · ")}`);
  }

  // ---------------------------------------------------------------- Python speaks
  const listen = {
    "change:state": () => { pending.clear(); draw(); },
    "change:live": flow,
    "change:status": () => say(model.get("status")),
    "change:blocks": build,
    "msg:custom": (message) => {
      if (message.op === "copy") navigator.clipboard?.writeText(message.text).then(
        () => say("Copied to the clipboard."), () => say("Select the lines below and copy them."));
    },
  };
  for (const [event, act] of Object.entries(listen)) model.on(event, act);
  const watch = new ResizeObserver(() => size());
  watch.observe(row);
  build();
  say(model.get("status"));
  return () => {
    watch.disconnect();
    clearTimeout(late);
    for (const [event, act] of Object.entries(listen)) model.off(event, act);
  };
}

export default { render };
