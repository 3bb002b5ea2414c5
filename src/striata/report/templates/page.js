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
  const shown = (value, unit) => (unit ? `${(100 * value).toFixed(2)} ${unit}` : String(Number(value.toPrecision(3))));
  for (const drawing of document.querySelectorAll("svg[data-ruler]")) {
    const [left, right, start, end, low, high, bottom, top] = drawing.dataset.ruler.split(" ").map(Number);
    const lines = [...drawing.querySelectorAll("polyline[data-series]")].map((mark) => ({
      mark,
      points: mark.getAttribute("points").split(" ").map((point) => point.split(",").map(Number)),
    }));
    if (!lines.length) continue;
    const readout = document.createElement("output");
    drawing.closest("figure").querySelector("h3").append(readout);
    const height = (points, x) => {
      const at = points.findIndex((point) => point[0] >= x);
      if (at < 1) return at === 0 && points[0][0] - x < 4 ? points[0][1] : null;
      const [[x0, y0], [x1, y1]] = [points[at - 1], points[at]];
      return x1 === x0 ? y1 : y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
    };
    const point = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      let nearest = null;
      for (const { mark, points } of lines) {
        const y = mark.classList.contains("off") ? null : height(points, place.x);
        if (y === null) continue;
        const far = Math.abs(y - place.y) - (Number(mark.getAttribute("stroke-width")) > 1 ? 1 : 0);
        if (far < 28 && (!nearest || far < nearest.far)) nearest = { mark, far, y };
      }
      pick(nearest ? nearest.mark.dataset.series : null);
      if (!nearest) return readout.replaceChildren();
      const step = left + ((place.x - start) / (end - start)) * (right - left);
      const value = low + ((nearest.y - bottom) / (top - bottom)) * (high - low);
      const name = nearest.mark.querySelector("title")?.textContent ?? "";
      readout.textContent = `${name}, step ${Math.round(step)}: ${shown(value, drawing.dataset.unit)}`;
    };
    drawing.addEventListener("pointermove", point);
    drawing.addEventListener("pointerdown", point);
    drawing.addEventListener("pointerleave", () => {
      pick(null);
      readout.replaceChildren();
    });
  }
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
