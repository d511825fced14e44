// The conversation in the middle: what was sent to one phone, what was rejected, and what the phone replied.

import { get, post } from "./api.js";
import { by, count, el, fullTime, marked, plural, time } from "./dom.js";
import { VirtualList } from "./list.js";
import { callbackChip, sentTimes, statusChip } from "./status.js";

const URL_KEY = "devino-sandbox-receiver";

// A browser that may store nothing raises here. Then the address is typed again.
function remembered() {
  try {
    return localStorage.getItem(URL_KEY) ?? "";
  } catch {
    return "";
  }
}

function remember(url) {
  try {
    localStorage.setItem(URL_KEY, url);
  } catch {
    // It works without.
  }
}

export class Conversation {
  constructor(details) {
    this.phone = null;
    this.search = "";
    this.list = new VirtualList(by("lines"), {
      estimate: 104,
      fromEnd: true,
      load: (offset, limit, newest) => this.load(offset, limit, newest),
      key: (line) => `${line.kind} ${line.id}`,
      render: (line) => this.row(line),
      loaded: () => this.loaded(),
      open: (line, index, opened) => details(line, opened),
      moved: () => this.moved(),
    });
    by("newest").addEventListener("click", () => this.list.toEnd());
    by("reply").addEventListener("submit", (event) => this.reply(event));
    by("reply-text").addEventListener("input", (event) => this.grow(event.target));
    by("reply-text").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        by("reply").requestSubmit();
      }
    });
    by("reply-url").value = remembered();
    by("reply-url").addEventListener("change", (event) => remember(event.target.value.trim()));
  }

  show(phone) {
    if (phone === this.phone) return;
    this.phone = phone;
    this.seen = null;
    by("number").textContent = phone;
    by("about").textContent = this.fate?.(phone) ?? "";
    by("reply-said").textContent = "";
    this.again();
  }

  leave() {
    this.phone = null;
    this.list.reset();
    clearTimeout(this.moving);
  }

  searchFor(search) {
    this.search = search;
    if (this.phone !== null) this.again();
  }

  again() {
    this.list.reset();
    this.refresh();
  }

  async refresh() {
    if (this.phone !== null) await this.list.refresh();
  }

  async load(offset, limit, newest) {
    const asked = { phone: this.phone, offset, limit, search: this.search, newest: newest ? "true" : null };
    const part = await get("inbox/conversation", asked);
    this.ahead = part.now - Date.now();
    return { total: part.total, offset: part.offset, items: part.lines };
  }

  loaded() {
    this.changed?.();
    const inSight = !document.hidden && by("lines").offsetParent !== null;
    if (inSight && this.seen !== this.list.all && this.list.all) {
      this.seen = this.list.all;
      clearTimeout(this.seeing);
      const phone = this.phone;
      this.seeing = setTimeout(() => post("inbox/seen", { phone }), 400);
    }
  }

  moved() {
    by("newest").hidden = this.list.atEnd();
    // The status of a message moves with the time alone, so what is in sight is asked for again at its next change.
    const next = [...this.list.rows.values()].map((row) => this.list.item(row.index)?.nextTs).filter(Boolean);
    clearTimeout(this.moving);
    if (next.length === 0) return;
    const wait = Math.min(...next) - (Date.now() + (this.ahead ?? 0));
    this.moving = setTimeout(() => this.refresh(), Math.min(Math.max(wait + 20, 200), 3_600_000));
  }

  row(line) {
    const made = { message: this.message, rejected: this.rejected, reply: this.answered }[line.kind].call(this, line);
    return el("div", { class: `row line ${line.kind}`, role: "option" }, el("article", { class: "bubble" }, ...made));
  }

  text(line) {
    return el("p", { class: "text" }, ...marked(line.text, this.search));
  }

  head(line, who, ...chips) {
    return el("header", { class: "line-head" }, el("strong", {}, ...marked(who || "(none)", this.search)), ...chips, time(line.ts));
  }

  message(line) {
    const chips = [
      line.times > 1 ? el("span", { class: "chip twice", title: "The same sender, number and text" }, `sent ${sentTimes(line.times)}`) : null,
      line.priority && line.priority !== "MEDIUM" ? el("span", { class: "chip priority" }, line.priority.toLowerCase()) : null,
      line.scheduledTime ? el("span", { class: "chip later" }, "for ", fullTime(Date.parse(line.scheduledTime))) : null,
    ];
    const long = line.length > 400 ? ` · ${count(line.length)} characters` : "";
    const size = `${plural(line.segments, "segment")} · ${line.alphabet}${long}`;
    const calls = line.callbacks.map(callbackChip);
    return [
      this.head(line, line.from, ...chips),
      this.text(line),
      el("footer", { class: "line-foot" }, statusChip(line.status), el("span", { class: "size" }, size),
        calls.length ? el("span", { class: "callbacks", "aria-label": "Status callbacks" }, ...calls)
          : line.callbackUrl ? el("span", { class: "size" }, "no callback yet") : null),
    ];
  }

  rejected(line) {
    const reasons = line.reasons.map(({ key, ref }) => el("span", { class: "reason" }, el("b", {}, ref || "message"), ` ${key}`));
    return [
      this.head(line, line.from),
      line.text ? this.text(line) : null,
      el("footer", { class: "line-foot" }, el("span", { class: "chip status bad" }, "REJECTED IN THE ANSWER"), ...reasons),
    ];
  }

  answered(line) {
    const good = line.answer === 200;
    const said = line.answer === null ? "no answer" : `answered ${line.answer}`;
    return [
      this.head(line, `to ${line.to}`),
      this.text(line),
      el("footer", { class: "line-foot" }, el("span", { class: `chip status ${good ? "good" : "bad"}` }, said), el("span", { class: "size url" }, line.url)),
    ];
  }

  grow(area) {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, 140)}px`;
  }

  async reply(event) {
    event.preventDefault();
    const [area, said] = [by("reply-text"), by("reply-said")];
    if (!area.value.trim()) {
      said.textContent = "Write a text first.";
      area.focus();
      return;
    }
    said.textContent = "Sending …";
    said.dataset.kind = "";
    try {
      const made = await post("replies", { from: this.phone, text: area.value, url: by("reply-url").value.trim() || null });
      said.dataset.kind = made.reached ? "good" : "bad";
      said.textContent = made.reached ? "Your app took it: 200." : made.status ? `Your app answered ${made.status}.` : "Your app gave no answer. Does it listen there?";
      if (made.reached) area.value = "";
      this.grow(area);
      this.list.toEnd();
    } catch (error) {
      said.dataset.kind = "bad";
      said.textContent = error.message.startsWith("url") ? "Say where to: no message to this phone had a callback URL on this machine." : error.message;
    }
  }
}
