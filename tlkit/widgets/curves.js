// Two small line charts over the optimizer steps: the loss, and the accuracy of training and validation.
const W = 420, H = 170, LEFT = 46, BOTTOM = 26, TOP = 20;
const NS = "http://www.w3.org/2000/svg";

function add(parent, tag, attributes, text) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function chart(parent, title) {
  const svg = add(parent, "svg", { viewBox: `0 0 ${W} ${H}`, role: "img", class: "tl-chart" });
  const name = add(svg, "title", {}, title);
  add(svg, "text", { x: LEFT, y: 13, class: "tl-chart-title" }, title);
  const plot = add(svg, "g", {});
  return (series, total, top, words) => {
    plot.replaceChildren();
    name.textContent = words;
    const x = (v) => LEFT + (W - LEFT - 8) * (v / Math.max(1, total));
    const y = (v) => H - BOTTOM - (H - BOTTOM - TOP) * Math.min(1, v / top);
    for (const part of [0, 0.5, 1]) {
      add(plot, "line", { x1: LEFT, x2: W - 8, y1: y(part * top), y2: y(part * top), class: "tl-grid" });
      add(plot, "text", { x: LEFT - 6, y: y(part * top) + 4, "text-anchor": "end" }, +(part * top).toPrecision(2));
      add(plot, "text", { x: x(part * total), y: H - 8, "text-anchor": part === 1 ? "end" : "middle" }, Math.round(part * total));
    }
    for (const { points, kind } of series) {
      if (!points.length) continue;
      add(plot, "polyline", { points: points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), class: kind });
      if (kind !== "tl-loss") for (const [a, b] of points) {
        if (kind === "tl-validation") add(plot, "rect", { x: x(a) - 3, y: y(b) - 3, width: 6, height: 6, class: kind });
        else add(plot, "circle", { cx: x(a), cy: y(b), r: 3, class: kind });
      }
    }
  };
}

function render({ model, el }) {
  el.classList.add("tl-curves");
  const words = document.createElement("div");
  words.className = "tl-curves-words";
  const row = document.createElement("div");
  row.className = "tl-curves-row";
  el.append(words, row);
  const loss = chart(row, "Loss at each step");
  const accuracy = chart(row, "Accuracy at each epoch’s end: ● training, ■ validation");
  const draw = () => {
    const data = model.get("data");
    if (!data.loss) return;
    words.textContent = data.words;
    const top = Math.max(1e-9, ...data.loss.map(([, v]) => v)) * 1.05;
    const last = (points) => (points.length ? points.at(-1)[1].toPrecision(3) : "none yet");
    loss([{ points: data.loss, kind: "tl-loss" }], data.total, top, `Loss at each step, now ${last(data.loss)}`);
    accuracy([{ points: data.training, kind: "tl-training" }, { points: data.validation, kind: "tl-validation" }],
      data.total, 1, `Accuracy at each epoch's end: training ${last(data.training)}, validation ${last(data.validation)}`);
  };
  model.on("change:data", draw);
  draw();
  return () => model.off("change:data", draw);
}

export default { render };
