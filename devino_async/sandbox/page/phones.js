// The phones on the left, and what stands above and below them.

import { get, post, remove } from "./api.js";
import { by, count, el, marked, plural, time } from "./dom.js";
import { VirtualList } from "./list.js";

export class Phones {
  constructor(show) {
    this.search = "";
    this.unread = 0;
    this.list = new VirtualList(by("phones"), {
      estimate: 64,
      load: async (offset, limit) => {
        const part = await get("inbox/phones", { offset, limit, search: this.search });
        this.unread = part.unread;
        return { total: part.total, offset: part.offset, items: part.phones };
      },
      key: (phone) => phone.phone,
      render: (phone) => this.row(phone),
      loaded: () => this.loaded(),
      open: (phone, index, opened) => show(phone.phone, opened),
    });
    let typing;
    by("search").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.searchFor(by("search").value.trim()), 150);
    });
    by("search").addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        by("phones").focus();
        event.preventDefault();
      }
    });
    by("read").addEventListener("click", () => post("inbox/seen", {}));
    by("clear").addEventListener("click", () => this.clear());
    by("keep").addEventListener("change", () => this.keep());
  }

  refresh() {
    return this.list.refresh();
  }

  searchFor(search) {
    if (search === this.search) return;
    this.search = search;
    const chosen = this.list.activeKey;
    this.list.reset();
    this.list.activeKey = chosen;
    this.refresh();
    this.searched?.(search);
  }

  loaded() {
    const total = this.list.all;
    document.title = this.unread ? `(${count(this.unread)}) Devino sandbox` : "Devino sandbox";
    by("found").hidden = !this.search;
    by("found").textContent = this.search ? `${plural(total, "phone")} found` : "";
    by("nothing").hidden = total > 0;
    by("nothing").textContent = this.search ? "Nothing matches. Escape ends the search." : "No phones yet.";
    by("phones").hidden = total === 0;
    this.counted?.(total);
  }

  row({ phone, text, ts, entries, unread }) {
    return el(
      "div",
      { class: `row phone${unread ? " unread" : ""}`, role: "option" },
      el("span", { class: "phone-number" }, ...marked(phone, this.search)),
      time(ts),
      el("span", { class: "phone-text" }, ...marked(text || "(no text)", this.search)),
      el("span", { class: "phone-count", title: plural(entries, "entry", "entries") },
        unread ? el("b", { class: "badge", "aria-label": `${unread} unread` }, count(unread)) : null),
    );
  }

  async clear() {
    const { kept } = await get("counts");
    by("sure-what").textContent =
      `${plural(kept, "accepted message")}, all rejected ones, replies and counts are deleted. Faults stay as they are.`;
    const dialog = by("sure");
    dialog.returnValue = "no";
    dialog.showModal();
    dialog.addEventListener("close", async () => dialog.returnValue === "yes" && (await remove("messages")), { once: true });
  }

  async keep() {
    const field = by("keep");
    if (!field.reportValidity()) return;
    await post("keep", { messages: field.value === "" ? null : Number(field.value) });
  }
}
