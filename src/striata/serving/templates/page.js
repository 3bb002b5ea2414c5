(() => {
  const at = (id) => document.getElementById(id);
  const AT_ONCE = 32; // texts of a file in one request
  const SHOWN = 500; // rows of a file in the table
  const MOST = 12; // bars
  const number = (value) => String(Number(value.toPrecision(5)));
  const percent = (value) => `${(100 * value).toFixed(1)}\u00a0%`;
  const headers = () => ({
    "Content-Type": "application/json",
    ...(at("key").value ? { Authorization: `Bearer ${at("key").value}` } : {}),
  });
  const element = (name, text = "", kind = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const complain = (message) => {
    at("problem").textContent = message;
    at("problem").hidden = !message;
  };
  let models = [];
  let asked = []; // text and second text of the answer that is shown

  // Sends a request; waits and comes again where the server is full or still loading.
  const ask = async (path, body, signal) => {
    for (let left = 60; ; left -= 1) {
      let response;
      try {
        const method = body ? "POST" : "GET";
        response = await fetch(path, { method, headers: headers(), body: body && JSON.stringify(body), signal });
      } catch (error) {
        throw error.name === "AbortError" ? error : new Error("The server does not answer; is it still running?");
      }
      const content = await response.json();
      if (response.ok) return content;
      if ((response.status !== 429 && content.code !== "loading") || left === 0) {
        throw Object.assign(new Error(content.error), { status: response.status });
      }
      await pause(Number(response.headers.get("Retry-After")) || 1);
    }
  };

  const describe = () => {
    const model = models.find((one) => one.name === at("model").value) ?? models[0];
    const members = model.members.length > 1 ? `an ensemble of ${model.members.length}` : "one model";
    const labels = model.labels.slice(0, 8).join(", ") + (model.labels.length > 8 ? ", …" : "");
    const gives = model.task === "regression" ? "a number for each text" : `${model.labels.length} labels: ${labels}`;
    at("about").textContent = `${model.name}: ${members}, ${gives}.`;
  };

  const load = async () => {
    try {
      for (models = []; !models.length; ) {
        models = (await ask("v1/models")).models;
        if (!models.length) await pause(1);
      }
      at("entry").hidden = true;
      at("model").replaceChildren(...models.map((model) => element("option", model.name)));
      at("choice").hidden = models.length < 2;
      describe();
      complain("");
    } catch (error) {
      if (error.status === 401) {
        at("entry").hidden = false;
        at("about").textContent = "This server asks for a key.";
        if (at("key").value) complain("This key is not known.");
      } else complain(error.message);
    }
  };

  const bars = (list, entries) => {
    const most = Math.max(...entries.map((entry) => entry[1]), 1e-9);
    const scale = list.id === "bars" ? 1 : most;
    list.replaceChildren(
      ...entries.slice(0, MOST).map(([name, value, shown], place) => {
        const row = element("li", "", place === 0 ? "first" : "");
        const track = element("span", "", "track");
        const fill = element("span", "", "fill");
        fill.style.width = `${(100 * value) / scale}%`;
        track.append(fill);
        row.append(element("span", name, "name"), track, element("span", shown, "value"));
        return row;
      }),
    );
    if (entries.length > MOST) list.append(element("li", `and ${entries.length - MOST} more`, "note"));
  };

  const question = (texts, pairs, more) => {
    const coverage = at("coverage").value;
    return {
      texts,
      ...(pairs ? { pairs } : {}),
      ...(models.length > 1 ? { model: at("model").value } : {}),
      ...(coverage ? { coverage: Number(coverage) } : {}),
      ...more,
    };
  };

  const sureness = (probability) =>
    probability >= 0.95 ? "sure" : probability >= 0.8 ? "fairly sure" : probability >= 0.5 ? "not sure" : "unsure";

  const between = (answer) => (answer.low == null ? "" : `${number(answer.low)} to ${number(answer.high)}`);

  const showNumber = (answer) => {
    at("label").textContent = number(answer.value);
    const share = percent(Number(at("coverage").value)).replace(".0", "");
    at("sure").textContent = answer.low == null ? "" : `${between(answer)} at ${share}`;
    at("cut").textContent = "The text is longer than the model takes: only its beginning was read.";
    at("cut").hidden = !answer.cut;
    at("bars").replaceChildren();
    const votes = Object.entries(answer.votes);
    at("voting").hidden = votes.length < 2;
    at("agree").textContent = `${votes.length} members`;
    at("votes").replaceChildren(
      ...votes.map(([name, vote]) => {
        const row = element("tr");
        row.append(element("td", name), element("td", number(vote.value)), element("td", "", "n"));
        return row;
      }),
    );
    for (const id of ["set", "because"]) at(id).hidden = true;
    at("why").hidden = true;
    at("answer").hidden = false;
  };

  const show = (answer) => {
    if (answer.value !== undefined) return showNumber(answer);
    at("why").hidden = false;
    at("label").textContent = answer.label;
    at("sure").textContent = `${percent(answer.probability)}, ${sureness(answer.probability)}`;
    at("cut").textContent = "The text is longer than the model takes: only its beginning was read.";
    at("cut").hidden = !answer.cut;
    const entries = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
    bars(at("bars"), entries.map(([name, value]) => [name, value, percent(value)]));
    at("set").hidden = !answer.set;
    if (answer.set) {
      const share = percent(Number(at("coverage").value)).replace(".0", "");
      at("set").textContent = `Label set at ${share} coverage: ${answer.set.join(", ")}`;
    }
    const votes = Object.entries(answer.votes).filter((entry) => entry[1]);
    at("voting").hidden = Object.keys(answer.votes).length < 2;
    const agreeing = votes.filter((entry) => entry[1].label === answer.label).length;
    at("agree").textContent = `${agreeing} of ${votes.length} members agree`;
    at("votes").replaceChildren(
      ...Object.entries(answer.votes).map(([name, vote]) => {
        const row = element("tr");
        const other = vote && vote.label !== answer.label ? "other" : "";
        const label = element("td", vote ? vote.label : "was not asked", other);
        row.append(element("td", name), label, element("td", vote ? percent(vote.probability) : "", "n"));
        return row;
      }),
    );
    at("because").hidden = true;
    at("answer").hidden = false;
  };

  // Words of the text that was answered, coloured by what they add to the label's score: blue for it, orange against it.
  const explain = async () => {
    const [text, pair] = asked;
    at("why").disabled = true;
    try {
      const model = models.length > 1 ? { model: at("model").value } : {};
      const why = await ask("v1/explain", { text, ...(pair ? { pair } : {}), ...model });
      const most = Math.max(...why.words.map((word) => Math.abs(word.weight)), 1e-9);
      const parts = [text, pair ?? ""].map((one) => Array.from(one)); // as the server counts
      at("words").replaceChildren();
      let [part, place] = [0, 0];
      const plain = (until) => at("words").append(parts[part].slice(place, until).join(""));
      for (const word of why.words) {
        if (word.part !== part) {
          plain();
          at("words").append("\n");
          [part, place] = [word.part, 0];
        }
        plain(word.start);
        const shown = element("span", parts[part].slice(word.start, word.end).join(""), word.read ? "word" : "word unread");
        const share = Math.round((70 * Math.abs(word.weight)) / most);
        shown.style.background = `color-mix(in srgb, var(${word.weight > 0 ? "--heat" : "--warm"}) ${share}%, transparent)`;
        shown.title = `${word.weight > 0 ? "+" : ""}${word.weight.toFixed(2)}`;
        at("words").append(shown);
        place = word.end;
      }
      plain();
      const strongest = [...why.words].sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight)).slice(0, 5);
      const named = strongest.map((word) => `${word.word} ${word.weight > 0 ? "+" : "\u2212"}${Math.abs(word.weight).toFixed(2)}`);
      const left = why.error === null ? "" : ` The weights add up to the score but for ${Math.abs(why.error).toFixed(2)}.`;
      at("legend").textContent = `Blue speaks for ${why.label}, orange against it: ${named.join(", ")}.${left}`;
      at("because").hidden = false;
      complain("");
    } catch (error) {
      complain(error.message);
    }
    at("why").disabled = false;
  };

  const submit = async (event) => {
    event?.preventDefault();
    const [text, pair] = [at("text").value, at("pair").value];
    if (!text.trim()) {
      complain("Type a text first.");
      at("text").focus();
      return;
    }
    const button = document.querySelector("#ask button.main");
    button.disabled = true;
    try {
      const pairs = at("second").open && pair.trim() ? [pair] : null;
      show((await ask("v1/classify", question([text], pairs, { votes: true }))).answers[0]);
      asked = [text, pairs?.[0]];
      complain("");
    } catch (error) {
      complain(error.message);
    }
    button.disabled = false;
  };

  // Rows of a CSV or TSV file (RFC 4180), and the character between its cells.
  const parse = (content) => {
    const source = content.replace(/^\ufeff/, "");
    const head = source.slice(0, source.search(/[\r\n]|$/));
    const between = ["\t", ";", ","].reduce((best, one) => (head.split(one).length > head.split(best).length ? one : best), ",");
    const rows = [];
    let row = [], cell = "", quoted = false;
    for (let place = 0; place < source.length; place += 1) {
      const letter = source[place];
      if (quoted) {
        if (letter !== '"') cell += letter;
        else if (source[place + 1] === '"') cell += source[(place += 1)];
        else quoted = false;
      } else if (letter === '"' && cell === "") quoted = true;
      else if (letter === between) [row, cell] = [[...row, cell], ""];
      else if (letter === "\n" || letter === "\r") {
        if (letter === "\r" && source[place + 1] === "\n") place += 1;
        if (cell !== "" || row.length) rows.push([...row, cell]);
        [row, cell] = [[], ""];
      } else cell += letter;
    }
    if (cell !== "" || row.length) rows.push([...row, cell]);
    return rows;
  };

  const written = (rows) =>
    rows.map((row) => row.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")).join("\r\n");

  let sheet = null, stopping = null, saved = null;

  const open = async (file) => {
    if (!file) return;
    const rows = parse(await file.text());
    if (rows.length < 2) {
      at("sheet").hidden = true;
      complain(`${file.name} has no rows; expected a line of column names, and a text in each line below.`);
      return;
    }
    stopping?.abort();
    complain("");
    sheet = { name: file.name, names: rows[0], rows: rows.slice(1) };
    const usual = ["text", "sentence", "content", "document", "review", "message", "subject"];
    const named = usual.map((name) => sheet.names.findIndex((own) => own.trim().toLowerCase() === name)).find((place) => place >= 0);
    const lengths = sheet.names.map((_, place) => sheet.rows.slice(0, 50).reduce((sum, row) => sum + (row[place] ?? "").length, 0));
    const options = () => sheet.names.map((name, place) => new Option(name || `column ${place + 1}`, place));
    at("column").replaceChildren(...options());
    at("column").value = named ?? lengths.indexOf(Math.max(...lengths));
    at("column2").replaceChildren(new Option("none", ""), ...options());
    at("count").textContent = `${sheet.rows.length.toLocaleString("en")} rows`;
    at("status").textContent = sheet.name;
    at("rows").replaceChildren();
    at("shares").replaceChildren();
    for (const id of ["tablebox", "save", "progress", "stop"]) at(id).hidden = true;
    at("sheet").hidden = false;
    at("run").focus();
  };

  const tell = (row, place, answer) => {
    if (place >= SHOWN) return;
    const line = element("tr");
    const text = row.length > 240 ? `${row.slice(0, 240)} …` : row;
    const numeric = answer?.value !== undefined;
    const others = answer?.set && answer.set.length > 1 ? answer.set.slice(1).join(", ") : "";
    const said = answer ? (numeric ? number(answer.value) : answer.label) : "blank";
    line.append(element("td", String(place + 1), "n"), element("td", said));
    line.append(element("td", answer && !numeric ? percent(answer.probability) : "", "n"), element("td", text));
    line.append(element("td", numeric ? between(answer) : others));
    at("rows").append(line);
  };

  const finish = (answers, more) => {
    const done = answers.length;
    const numeric = answers.some((answer) => answer?.value !== undefined);
    const counts = new Map();
    for (const answer of numeric ? [] : answers) if (answer) counts.set(answer.label, (counts.get(answer.label) ?? 0) + 1);
    const entries = [...counts].sort((one, other) => other[1] - one[1]);
    bars(at("shares"), entries.map(([name, count]) => [name, count, percent(count / done)]));
    const added = numeric
      ? ["prediction", ...(more ? ["low", "high"] : [])]
      : ["label", "probability", ...(more ? ["labels"] : [])];
    const cells = (answer) =>
      numeric
        ? [answer.value, ...(more ? [answer.low, answer.high] : [])].map(String)
        : [answer.label, answer.probability.toFixed(6), ...(more ? [JSON.stringify(answer.set)] : [])];
    const names = added.map((name) => (sheet.names.includes(name) ? `${name}_predicted` : name));
    const lines = answers.map((answer, place) => [
      ...sheet.names.map((_, cell) => sheet.rows[place][cell] ?? ""),
      ...(answer ? cells(answer) : added.map(() => "")),
    ]);
    if (saved) URL.revokeObjectURL(saved);
    saved = URL.createObjectURL(new Blob([`${written([[...sheet.names, ...names], ...lines])}\r\n`], { type: "text/csv" }));
    at("save").href = saved;
    at("save").download = sheet.name.replace(/(\.\w+)?$/, ".predicted.csv");
    at("save").hidden = done === 0;
  };

  const run = async () => {
    const [first, second] = [at("column").value, at("column2").value];
    const { rows } = sheet;
    const text = (row, place) => row[place] ?? "";
    const answers = [];
    stopping = new AbortController();
    at("rows").replaceChildren();
    at("progress").max = rows.length;
    for (const id of ["tablebox", "progress", "stop"]) at(id).hidden = false;
    at("run").disabled = true;
    complain("");
    try {
      while (answers.length < rows.length) {
        const part = rows.slice(answers.length, answers.length + AT_ONCE);
        const full = part.filter((row) => text(row, first).trim());
        const pairs = second === "" ? null : full.map((row) => text(row, second));
        const body = question(full.map((row) => text(row, first)), pairs, { probabilities: false });
        const come = full.length ? (await ask("v1/classify", body, stopping.signal)).answers : [];
        for (const row of part) {
          const answer = text(row, first).trim() ? come.shift() : null;
          tell(text(row, first), answers.length, answer);
          answers.push(answer);
        }
        at("progress").value = answers.length;
        at("status").textContent = `${answers.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
      }
    } catch (error) {
      if (error.name !== "AbortError") complain(error.message);
    }
    const beyond = answers.length > SHOWN ? `; the first ${SHOWN} are shown, the file has all` : "";
    at("status").textContent = `${answers.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows${beyond}`;
    finish(answers, at("coverage").value !== "");
    at("run").disabled = false;
    at("stop").hidden = at("progress").hidden = true;
  };

  at("ask").addEventListener("submit", submit);
  at("ask").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  });
  at("why").addEventListener("click", explain);
  at("unlock").addEventListener("click", load);
  at("key").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    load();
  });
  at("model").addEventListener("change", describe);
  at("file").addEventListener("change", () => open(at("file").files[0]));
  at("run").addEventListener("click", run);
  at("stop").addEventListener("click", () => stopping?.abort());
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") open(event.dataTransfer.files[0]);
    });
  }
  load();
})();
