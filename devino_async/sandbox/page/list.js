// A list of which only the rows in sight are in the document. Rows are asked for in pages, from any place of the list.

import { el } from "./dom.js";
import { Heights } from "./heights.js";

const PAGE = 50;
const MAX_PAGES = 40;
const BEYOND = 400; // Pixels above and below what is in sight.
// Browsers cannot scroll much further than thirty million pixels.
const MAX_PIXELS = 24_000_000;

export class VirtualList {
  // load(offset, limit) -> {total, offset, items}. key(item), render(item, index) -> element.
  constructor(scroller, { estimate, load, key, render, loaded = () => {}, open = () => {}, moved = () => {}, fromEnd = false }) {
    Object.assign(this, { scroller, load, key, render, loaded, open, moved, fromEnd });
    this.maxRows = Math.floor(MAX_PIXELS / estimate);
    this.heights = new Heights(estimate);
    this.body = el("div", { class: "rows", role: "presentation" });
    scroller.append(this.body);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.pressed(event));
    this.body.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.resized()).observe(scroller);
    this.reset();
  }

  // Forgets everything, because another list is to be shown.
  reset() {
    this.generation = (this.generation ?? 0) + 1;
    this.pages = new Map();
    this.rows = new Map();
    this.body.replaceChildren();
    this.heights.clear();
    this.total = null;
    this.skipped = 0;
    this.active = null;
    this.activeKey = null;
    this.loading = null;
    this.again = false;
    this.stuck = this.fromEnd;
    this.placed = false;
    this.body.style.height = "0px";
    this.scroller.scrollTop = 0;
  }

  // Asks again for what is in sight. Calls that come meanwhile share one more round.
  async refresh() {
    if (this.loading) {
      this.again = true;
      return this.loading;
    }
    this.loading = this.rounds();
    return this.loading;
  }

  async rounds() {
    const generation = this.generation;
    try {
      do {
        this.again = false;
        const began = performance.now();
        await this.round(generation);
        // A busy sandbox is asked less often.
        if (this.again) await new Promise((resolve) => setTimeout(resolve, 2 * (performance.now() - began)));
      } while (this.again && generation === this.generation);
    } catch (error) {
      console.warn(error);
    } finally {
      if (generation === this.generation) this.loading = null;
    }
  }

  async round(generation) {
    const newest = this.fromEnd && this.stuck;
    const wanted = newest ? [null] : this.pagesInSight();
    const fresh = new Map();
    for (const page of wanted) {
      const offset = page === null ? 0 : page * PAGE + this.skipped;
      const part = await this.load(offset, PAGE, page === null);
      if (generation !== this.generation) return;
      this.counted(part);
      this.fill(fresh, part.offset - this.skipped, part.items);
    }
    // What is out of sight may have changed, so it is asked for again when it comes into sight. Until then it is shown
    // as it was.
    for (const page of this.pages.values()) page.stale = true;
    for (const [page, items] of fresh) this.put(page, items);
    this.loaded(this);
    this.draw();
  }

  counted({ total }) {
    const shown = Math.min(total, this.maxRows);
    const skipped = total - shown;
    if (this.fromEnd && skipped !== this.skipped) {
      this.skipped = skipped;
      this.pages.clear();
    }
    this.total = shown;
    this.all = total;
    this.heights.resize(shown);
  }

  fill(pages, start, items) {
    items.forEach((item, place) => {
      const index = start + place;
      const page = Math.floor(index / PAGE);
      if (!pages.has(page)) pages.set(page, []);
      pages.get(page)[index % PAGE] = item;
    });
  }

  put(page, items) {
    const before = this.pages.get(page);
    // The newest rows may cover a part of a page only. The rest is asked for when it comes into sight.
    const rows = Math.min(PAGE, this.total - page * PAGE);
    const stale = Array.from({ length: rows }, (_, place) => items[place]).includes(undefined);
    if (before) before.items.forEach((item, place) => (items[place] ??= item));
    this.pages.delete(page);
    this.pages.set(page, { items, stale });
    for (const old of this.pages.keys()) {
      if (this.pages.size <= MAX_PAGES) break;
      this.pages.delete(old);
    }
  }

  item(index) {
    return this.pages.get(Math.floor(index / PAGE))?.items[index % PAGE];
  }

  pagesInSight() {
    const [first, last] = this.inSight();
    const pages = [];
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last) / PAGE); page++) pages.push(page);
    return pages;
  }

  inSight() {
    if (!this.total) return [0, 0];
    const top = this.scroller.scrollTop;
    const first = this.heights.at(Math.max(0, top - BEYOND));
    const last = this.heights.at(top + this.scroller.clientHeight + BEYOND);
    return [first, Math.min(last, this.total - 1)];
  }

  atEnd() {
    return this.scroller.scrollTop + this.scroller.clientHeight >= this.scroller.scrollHeight - 24;
  }

  draw() {
    if (this.total === null || this.drawing) return;
    this.drawing = true;
    // Before the first rows are there, the end is where the list begins.
    if (this.placed && !this.settling) this.stuck = this.fromEnd && this.atEnd();
    const stuck = this.stuck;
    // A row that turns out higher moves those below it, so a second pass may see other rows.
    for (let pass = 0; pass < 3; pass++) {
      this.body.style.height = `${this.heights.total}px`;
      if (stuck) this.scroller.scrollTop = this.scroller.scrollHeight;
      if (!this.place()) break;
    }
    this.placed = true;
    this.drawing = false;
    this.moved(this);
    this.missing();
  }

  // Puts the rows in sight into the document. Returns whether a height was other than expected.
  place() {
    const [first, last] = this.inSight();
    const shown = new Map();
    const fresh = [];
    for (let index = first; index <= last && this.total; index++) {
      const item = this.item(index);
      const key = item === undefined ? `?${index}` : this.key(item);
      const look = item === undefined ? "" : JSON.stringify(item);
      let row = this.rows.get(key);
      if (!row || row.look !== look || row.index !== index) {
        const made = item === undefined ? el("div", { class: "row waiting" }) : this.render(item, index);
        // A row that is there stays there with new contents, so a click that has begun on it ends on it.
        const element = row ? row.element : made;
        if (row && row.look !== look) {
          element.className = made.className;
          element.replaceChildren(...made.childNodes);
        }
        element.id = `${this.scroller.id}-${index}`;
        element.dataset.index = index;
        if (!row) fresh.push(element);
        row = { element, look, index };
      }
      // Rows move when newer ones come. The active one is known by its key.
      if (key === this.activeKey) this.active = index;
      else if (index === this.active && this.activeKey === null && item !== undefined) this.activeKey = key;
      shown.set(key, row);
    }
    for (const [key, row] of this.rows) if (!shown.has(key)) row.element.remove();
    this.rows = shown;
    if (fresh.length) this.body.append(...fresh);
    const changed = this.measure(first);
    for (const [key, { element, index }] of shown) {
      element.style.transform = `translateY(${this.heights.top(index)}px)`;
      const active = key === this.activeKey;
      element.classList.toggle("active", active);
      element.setAttribute("aria-selected", active);
      element.setAttribute("aria-posinset", index + 1);
      element.setAttribute("aria-setsize", this.total);
    }
    const active = shown.get(this.activeKey)?.element;
    if (active) this.scroller.setAttribute("aria-activedescendant", active.id);
    else this.scroller.removeAttribute("aria-activedescendant");
    return changed;
  }

  measure() {
    const top = this.scroller.scrollTop;
    const anchor = this.heights.at(top);
    const measured = [...this.rows.values()].filter((row) => row.look).map((row) => [row.index, row.element.offsetHeight]);
    let [changed, above] = [false, 0];
    for (const [index, height] of measured) {
      if (!height) continue;
      const change = this.heights.set(index, height);
      changed ||= change !== 0;
      if (index < anchor) above += change;
    }
    // What is being read stays where it is.
    if (above && !this.stuck) {
      this.body.style.height = `${this.heights.total}px`;
      this.scroller.scrollTop = top + above;
    }
    return changed;
  }

  missing() {
    const lacks = this.pagesInSight().some((page) => !this.pages.has(page) || this.pages.get(page).stale);
    if (!lacks || this.total === 0 || this.loading) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetchMissing(), 40);
  }

  async fetchMissing() {
    const generation = this.generation;
    for (const page of this.pagesInSight()) {
      if (this.pages.has(page) && !this.pages.get(page).stale) continue;
      const part = await this.load(page * PAGE + this.skipped, PAGE, false);
      if (generation !== this.generation) return;
      this.counted(part);
      this.put(page, part.items);
    }
    this.draw();
  }

  resized() {
    if (this.scroller.clientHeight === 0) return;
    const stuck = this.stuck;
    this.settling = true;
    this.draw();
    if (stuck) this.toEnd();
    this.settling = false;
  }

  toEnd() {
    this.stuck = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.refresh();
  }

  clicked(event) {
    const row = event.target.closest("[data-index]");
    if (row && !getSelection().toString()) this.choose(Number(row.dataset.index), true);
  }

  pressed(event) {
    if (event.target !== this.scroller || event.ctrlKey || event.metaKey || event.altKey || !this.total) return;
    const last = this.total - 1;
    const step = Math.max(1, Math.floor(this.scroller.clientHeight / this.heights.estimate) - 1);
    const now = this.active ?? (this.fromEnd ? this.total : -1);
    const goal = { ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + step, PageUp: now - step, Home: 0, End: last }[event.key];
    if (goal !== undefined) this.choose(Math.min(last, Math.max(0, goal)), false);
    else if (event.key === "Enter" && this.active !== null) this.choose(this.active, true);
    else return;
    event.preventDefault();
  }

  choose(index, opened) {
    const item = this.item(index);
    this.active = index;
    this.activeKey = item === undefined ? null : this.key(item);
    const [top, bottom] = [this.heights.top(index), this.heights.top(index + 1)];
    const sight = this.scroller;
    if (top < sight.scrollTop) sight.scrollTop = top;
    else if (bottom > sight.scrollTop + sight.clientHeight) sight.scrollTop = bottom - sight.clientHeight;
    this.draw();
    if (item !== undefined) this.open(item, index, opened);
  }
}
