"use strict";

const INK = "#222222"; // drawn in the colour of the text
const NARROW = 620; // pixels; on a narrower page plots side by side are stacked
const PANEL = 230; // least height of a stacked plot in pixels

// Use the page's colours, so that plots follow the reader's light or dark scheme.
function themed(plot) {
  const css = getComputedStyle(document.documentElement);
  const text = css.getPropertyValue("--text").trim();
  const grid = css.getPropertyValue("--grid").trim();
  const page = css.getPropertyValue("--page").trim();
  const { data, layout } = JSON.parse(JSON.stringify(plot).replaceAll(INK, text));
  layout.paper_bgcolor = layout.plot_bgcolor = page;
  for (const name of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(name)) {
      Object.assign(layout[name], { gridcolor: grid, zerolinecolor: grid });
    }
  }
  for (const note of layout.annotations || []) {
    if (note.bgcolor) note.bgcolor = page;
  }
  return { data, layout };
}

// Small plots side by side are unreadable on a phone: give each a row.
function stack(data, layout, width) {
  const columns = layout.meta?.columns || 1;
  const named = data.filter((trace) => trace.name && trace.showlegend !== false);
  const longest = Math.max(0, ...named.map((trace) => trace.name.length));
  const perRow = Math.max(1, Math.floor((width - 80) / (45 + 6.5 * longest)));
  const legend = named.length > 1 ? 20 * Math.ceil(named.length / perRow) : 0;
  layout.legend = { ...layout.legend, font: { size: 11 } };
  if (columns < 2) {
    layout.height += legend;
    return;
  }
  const names = Object.keys(layout).filter((n) => /^yaxis\d*$/.test(n));
  names.sort((a, b) => Number(a.slice(5) || 1) - Number(b.slice(5) || 1));
  const titles = (layout.annotations || []).filter((n) => n.xref === "paper" && n.yref === "paper");
  // Rows of text keep their distance.
  const ofRows = layout.yaxis.type === "category" ? (layout.height * columns) / names.length : 0;
  const panel = Math.max(PANEL, ofRows);
  const height = names.length * panel;
  const share = panel / height;
  names.forEach((name, index) => {
    const number = name.slice(5);
    const x = layout[`xaxis${number}`];
    const y = layout[name];
    const first = layout[`yaxis${String(index - (index % columns) + 1).replace(/^1$/, "")}`];
    const below = layout[`xaxis${String(names.length - columns + (index % columns) + 1)}`];
    const top = 1 - index * share;
    y.domain = [top - share + 65 / height, top - 30 / height];
    x.domain = [0, 1];
    x.showticklabels = y.showticklabels = true;
    y.title = first.title;
    if (!x.title?.text && below) x.title = below.title;
    if (titles[index]) {
      Object.assign(titles[index], { x: 0.5, y: y.domain[1] });
      titles[index].text = titles[index].text.replaceAll("-<br>", "").replaceAll("<br>", ", ");
    }
  });
  layout.height = height + legend + 30;
  Object.assign(layout.legend, { y: 1, yanchor: "bottom" });
  layout.margin = { ...layout.margin, t: legend + 20, b: 10 };
}

const plots = JSON.parse(document.getElementById("plots").textContent);
const config = { responsive: true, displaylogo: false, displayModeBar: false };

async function draw(id) {
  const place = document.getElementById(id);
  const { data, layout } = themed(plots[id]);
  if (place.clientWidth < NARROW && innerWidth < NARROW) stack(data, layout, place.clientWidth);
  place.style.height = `${layout.height}px`;
  await Plotly.react(place, data, layout, config);
  place.dataset.drawn = "yes";
}

async function drawAll() {
  for (const id of Object.keys(plots)) {
    // A folded plot has no width yet; it is drawn when it is opened.
    if (document.getElementById(id).closest("details:not([open])")) continue;
    await draw(id);
    await new Promise((done) => setTimeout(done)); // let the page answer in between
  }
  document.body.dataset.drawn = "yes";
}

for (const folded of document.querySelectorAll("details")) {
  folded.addEventListener("toggle", async () => {
    if (!folded.open) return;
    for (const place of folded.querySelectorAll(".plot:not([data-drawn])")) await draw(place.id);
  });
}
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});

function cellValue(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value ?? cell.textContent;
  const number = Number(value);
  return value !== "" && !Number.isNaN(number) ? number : value;
}

function compare(a, b) {
  // Missing values are sorted last in `sortBy`.
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

function sortBy(header) {
  const table = header.closest("table");
  const column = header.cellIndex;
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [cellValue(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return descending ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const header of document.querySelectorAll("table.sortable th")) {
  header.querySelector("button").addEventListener("click", () => sortBy(header));
}
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
matchMedia(`(max-width: ${NARROW}px)`).addEventListener("change", drawAll);
