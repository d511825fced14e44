// Elements, times and numbers. Texts enter the document as text only: nothing here makes HTML.

export const by = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const numbers = new Intl.NumberFormat("en");

export const count = (number) => numbers.format(number);
export const fullTime = (ts) => full.format(ts);

export function shortTime(ts) {
  const moment = new Date(ts);
  const today = moment.toDateString() === new Date().toDateString();
  return today ? clock.format(moment) : `${day.format(moment)}, ${clock.format(moment)}`;
}

export function time(ts) {
  return el("time", { datetime: new Date(ts).toISOString(), title: fullTime(ts) }, shortTime(ts));
}

export const plural = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

// Returns the nodes of a text in which what was searched for is marked.
export function marked(text, searched) {
  if (!searched) return [text];
  const nodes = [];
  const [low, wanted] = [text.toLowerCase(), searched.toLowerCase()];
  let from = 0;
  // A few characters change their length in lower case: then the marks would be at the wrong places.
  for (let at = low.length === text.length ? low.indexOf(wanted) : -1; at >= 0 && nodes.length < 200; at = low.indexOf(wanted, from)) {
    nodes.push(text.slice(from, at), el("mark", {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  nodes.push(text.slice(from));
  return nodes;
}
