// An image and a horizontal bar for each class; the true class is marked, the highest share is set in bold.
function render({ model, el }) {
  el.classList.add("tl-bars");
  const image = document.createElement("img");
  image.className = "tl-bars-image";
  const list = document.createElement("div");
  const words = document.createElement("div");
  words.className = "tl-bars-words";
  words.setAttribute("aria-live", "polite");
  const body = document.createElement("div");
  body.className = "tl-bars-body";
  const title = document.createElement("div");
  title.className = "tl-bars-title";
  list.className = "tl-bars-list";
  list.setAttribute("role", "img");
  body.append(image, list);
  el.append(title, body, words);

  const rows = model.get("labels").map((label) => {
    const row = document.createElement("div");
    row.className = "tl-bars-row";
    row.innerHTML = `<span class="tl-bars-label"></span><span class="tl-bars-track"><i></i></span><span class="tl-bars-value"></span>`;
    row.firstChild.textContent = label;
    list.appendChild(row);
    return row;
  });

  const draw = () => {
    const shares = model.get("shares"), marked = model.get("marked");
    const best = shares.indexOf(Math.max(...shares));
    title.textContent = model.get("title");
    image.hidden = !model.get("image");
    image.src = model.get("image");
    image.alt = "The image that is judged";
    words.textContent = model.get("words");
    list.setAttribute("aria-label", model.get("words"));
    rows.forEach((row, i) => {
      row.children[1].firstChild.style.width = `${100 * (shares[i] ?? 0)}%`;
      row.children[2].textContent = (shares[i] ?? 0).toFixed(3) + (i === marked ? " ◂ true" : "");
      row.dataset.best = String(i === best);
    });
    el.dataset.best = model.get("labels")[best] ?? "";
  };
  model.on("change", draw);
  draw();
  const unwatch = nameSliders(el);
  return () => { unwatch(); model.off("change", draw); };
}

export default { render };
