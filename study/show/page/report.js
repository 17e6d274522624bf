"use strict";

// Colours of the page, so that figures follow the light or dark scheme of the reader.
function themed(layout) {
  const css = getComputedStyle(document.documentElement);
  const text = css.getPropertyValue("--text").trim();
  const grid = css.getPropertyValue("--grid").trim();
  const page = css.getPropertyValue("--page").trim();
  const themedLayout = structuredClone(layout);
  themedLayout.paper_bgcolor = themedLayout.plot_bgcolor = page;
  themedLayout.font = { ...themedLayout.font, color: text };
  for (const name of Object.keys(themedLayout)) {
    if (/^[xy]axis\d*$/.test(name)) {
      Object.assign(themedLayout[name], { gridcolor: grid, zerolinecolor: grid });
    }
  }
  for (const note of themedLayout.annotations || []) {
    if (note.bgcolor) note.bgcolor = page;
  }
  return themedLayout;
}

const figures = JSON.parse(document.getElementById("figures").textContent);
const config = { responsive: true, displaylogo: false, displayModeBar: false };

async function drawAll() {
  for (const [id, figure] of Object.entries(figures)) {
    const place = document.getElementById(id);
    await Plotly.react(place, figure.data, themed(figure.layout), config);
    place.dataset.drawn = "yes";
    await new Promise((done) => setTimeout(done)); // let the page answer in between
  }
  document.body.dataset.drawn = "yes";
}

function cellValue(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value ?? cell.textContent;
  const number = Number(value);
  return value !== "" && !Number.isNaN(number) ? number : value;
}

function compare(a, b) {
  // What is missing comes last, whichever way the rest is sorted.
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
