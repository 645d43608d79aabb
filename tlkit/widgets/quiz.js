// A question with radio choices. The first choice is the prediction; then every explanation may be looked at.
let count = 0;

function render({ model, el }) {
  const id = `tl-quiz-${++count}`;
  const form = document.createElement("fieldset");
  form.className = "tl-quiz";
  form.innerHTML = `<legend><span class="tl-quiz-tag">Predict first</span> ${model.get("prompt")}</legend>
    <div class="tl-quiz-choices"></div>
    <p class="tl-quiz-say" aria-live="polite"></p>`;
  el.appendChild(form);
  const list = form.querySelector(".tl-quiz-choices");
  const say = form.querySelector(".tl-quiz-say");
  const choices = model.get("choices");
  let looking = model.get("chosen");

  const rows = choices.map((choice, i) => {
    const row = document.createElement("div");
    row.className = "tl-quiz-row";
    row.innerHTML = `<label><input type="radio" name="${id}" value="${i}"><span>${choice.text}</span>
        <b class="tl-quiz-mark"></b></label>
      <div class="tl-quiz-why" hidden><b>${choice.right ? "✔ Right." : "✘ Not this one."}</b> ${choice.why}</div>`;
    const input = row.querySelector("input");
    input.addEventListener("change", () => {
      looking = i;
      if (model.get("chosen") < 0) {
        try {
          model.set("chosen", i);
          model.save_changes();
        } catch (error) {
          console.debug("Quiz:", error);             // without a kernel the answer is shown, but not kept
        }
      }
      draw();
    });
    // JupyterLab must not take arrows, Enter or Space away from a radio button
    input.addEventListener("keydown", (event) => {
      if (event.key.startsWith("Arrow") || event.key === " " || event.key === "Enter") event.stopPropagation();
    });
    list.appendChild(row);
    return row;
  });

  function draw() {
    const chosen = model.get("chosen");
    if (looking < 0) looking = chosen;
    rows.forEach((row, i) => {
      const open = chosen >= 0 && i === looking;
      row.querySelector("input").checked = i === looking;
      row.querySelector(".tl-quiz-why").hidden = !open;
      row.querySelector(".tl-quiz-mark").textContent = i === chosen ? "your prediction" : "";
      row.dataset.state = open ? (choices[i].right ? "right" : "wrong") : "";
    });
    if (chosen < 0) say.textContent = "Choose what you expect; the explanation follows.";
    else say.textContent = choices[chosen].right
      ? "✔ Your prediction was right. Look at the other choices too."
      : "✘ Your prediction was not right. Look at the other choices too.";
  }

  model.on("change:chosen", draw);
  draw();
  return () => model.off("change:chosen", draw);
}

export default { render };
