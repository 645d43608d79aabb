// Points of several domains. The mouse, or the arrow keys, pick a point; its image and label are shown beside.
const SIDE = 460, EDGE = 16;
const NS = "http://www.w3.org/2000/svg";
const COLOURS = ["#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#DDCC77", "#44AA99", "#AA4499", "#999933", "#000000"];
const SHAPES = ["M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M0,-5L5,4L-5,4Z", "M-4,-4H4V4H-4Z", "M0,-5L5,0L0,5L-5,0Z"];

function render({ model, el }) {
  el.classList.add("tl-points");
  const title = document.createElement("div");
  title.className = "tl-points-title";
  const body = document.createElement("div");
  body.className = "tl-points-body";
  const side = document.createElement("div");
  side.className = "tl-points-side";
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${SIDE} ${SIDE}`);
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-label", "Map of features. Arrow keys go from point to point.");
  const picture = document.createElement("div");
  picture.className = "tl-points-image";
  const words = document.createElement("div");
  words.setAttribute("aria-live", "polite");
  words.textContent = "Point at a dot, or use the arrow keys.";
  const legend = document.createElement("div");
  legend.className = "tl-points-legend";
  side.append(picture, words, legend);
  body.append(svg, side);
  el.append(title, body);

  const labels = model.get("labels"), domains = model.get("domains"), numbers = model.get("numbers"), names = model.get("names");
  const columns = model.get("columns"), rows = Math.ceil(labels.length / columns);
  const marks = labels.map((_, i) => {
    const mark = document.createElementNS(NS, "path");
    const colour = COLOURS[numbers[i] % COLOURS.length];
    mark.setAttribute("d", SHAPES[domains[i] % SHAPES.length]);
    mark.setAttribute("stroke", colour);
    mark.setAttribute("fill", domains[i] === 1 ? "#fff" : colour);
    svg.appendChild(mark);
    return mark;
  });
  names.forEach((name, i) => {
    const line = document.createElement("div");
    line.innerHTML = `<svg viewBox="-7 -7 14 14" aria-hidden="true"><path d="${SHAPES[i % SHAPES.length]}" stroke="currentColor" fill="${i === 1 ? "none" : "currentColor"}"/></svg>`;
    line.append(name);
    legend.appendChild(line);
  });

  const classes = new Map(numbers.map((number, i) => [number, labels[i]]));
  if (Math.max(...numbers) < COLOURS.length) {         // else one colour would stand for two classes
    const key = document.createElement("div");
    key.className = "tl-points-key";
    [...classes].sort(([a], [b]) => a - b).forEach(([number, label]) => {
      const entry = document.createElement("span"), dot = document.createElement("i");
      dot.style.background = COLOURS[number];
      entry.append(dot, label);
      key.appendChild(entry);
    });
    legend.appendChild(key);
  }

  let chosen = -1;
  const place = (i) => model.get("places")[i].map((v, axis) => SIDE / 2 + (axis ? -v : v) * (SIDE / 2 - EDGE));
  function choose(i) {
    marks[chosen]?.classList.remove("tl-chosen");
    chosen = i;
    marks[i].classList.add("tl-chosen");
    svg.appendChild(marks[i]);                         // on top of its neighbours
    picture.style.backgroundImage = `url("${model.get("sheet")}")`;
    picture.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    const at = (k, of) => (of > 1 ? (100 * k) / (of - 1) : 0);
    picture.style.backgroundPosition = `${at(i % columns, columns)}% ${at(Math.floor(i / columns), rows)}%`;
    words.textContent = `${labels[i]}, ${names[domains[i]]} (${i + 1} of ${labels.length})`;
  }
  function nearest(event) {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * SIDE, y = ((event.clientY - box.top) / box.height) * SIDE;
    let best = -1, least = 400;
    model.get("places").forEach((_, i) => {
      const [a, b] = place(i), distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < least) { least = distance; best = i; }
    });
    if (best >= 0 && best !== chosen) choose(best);
  }
  svg.addEventListener("mousemove", nearest);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !labels.length) return;
    event.preventDefault();
    event.stopPropagation();
    choose((chosen + step + labels.length) % labels.length);
  });

  const draw = () => {
    title.textContent = model.get("title");
    if (model.get("places").length) marks.forEach((mark, i) => mark.setAttribute("transform", `translate(${place(i)})`));
    el.dataset.title = model.get("title");
  };
  model.on("change:places", draw);
  model.on("change:title", draw);
  draw();
  const unwatch = nameSliders(el);
  return () => { unwatch(); model.off("change:places", draw); model.off("change:title", draw); };
}

export default { render };
