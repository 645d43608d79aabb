// ipywidgets shows a slider's name beside it but does not tell it to screen readers: this does, for all sliders
// that stand in the same picture as `el`. Put before a module that calls it.
function nameSliders(el) {
  const name = () => {
    const sliders = [...(el.closest(".tl-live")?.querySelectorAll(".widget-slider") ?? [])];
    for (const slider of sliders) {
      const label = slider.querySelector(".widget-label")?.textContent;
      if (label) slider.querySelector("[role=slider]")?.setAttribute("aria-label", label);
    }
  };
  const watch = new MutationObserver(name);
  requestAnimationFrame(function begin() {        // the page puts `el` into its place after it was rendered
    const picture = el.closest(".tl-live");
    if (!picture) return void (el.isConnected || requestAnimationFrame(begin));
    watch.observe(picture, { childList: true, subtree: true });
    name();
  });
  return () => watch.disconnect();
}

