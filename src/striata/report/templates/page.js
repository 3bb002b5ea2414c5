(() => {
  const marks = new Map();
  for (const mark of document.querySelectorAll("figure svg [data-series]")) {
    const series = mark.dataset.series;
    marks.set(series, [...(marks.get(series) ?? []), mark]);
  }
  const drawings = document.querySelectorAll("figure svg");
  const buttons = [...document.querySelectorAll(".legend button[data-toggle]")];
  const show = (button, on) => {
    for (const twin of buttons.filter((other) => other.dataset.toggle === button.dataset.toggle)) {
      twin.setAttribute("aria-pressed", String(on));
    }
    for (const mark of marks.get(button.dataset.toggle) ?? []) mark.classList.toggle("off", !on);
  };
  const pick = (series) => {
    for (const drawing of drawings) drawing.classList.remove("pick");
    for (const mark of document.querySelectorAll("svg .on")) mark.classList.remove("on");
    for (const mark of (series && marks.get(series)) || []) {
      mark.classList.add("on");
      mark.closest("svg").classList.add("pick");
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      show(button, button.getAttribute("aria-pressed") === "false");
      pick(null);
    });
    for (const event of ["mouseenter", "focus"]) {
      button.addEventListener(event, () => pick(button.matches("[aria-pressed=true]") ? button.dataset.toggle : null));
    }
    for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => pick(null));
  }
  for (const button of document.querySelectorAll(".legend button[data-all]")) {
    button.addEventListener("click", () => {
      for (const other of buttons) show(other, button.dataset.all === "show");
    });
  }
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
