// The panel on the right: one message in full, the faults, or help.

import { get } from "./api.js";
import { by, count, el, fullTime, plural } from "./dom.js";
import { answerOf, sentTimes, statusChip } from "./status.js";

export class Side {
  constructor() {
    this.showing = null;
    by("close-side").addEventListener("click", () => this.close());
  }

  // Shows `nodes` under a title. `button` is what opened it, and what gets the focus back.
  show(name, title, nodes, { button = null, focus = true } = {}) {
    if (this.showing !== name) this.back = document.activeElement;
    this.showing = name;
    for (const each of ["open-faults", "open-help"]) by(each).setAttribute("aria-expanded", button === by(each));
    by("side-title").textContent = title;
    by("side-body").replaceChildren(...nodes);
    by("side").hidden = false;
    document.body.classList.add("with-side");
    if (focus) by("side-title").focus();
  }

  close() {
    if (this.showing === null) return;
    this.showing = null;
    by("side").hidden = true;
    document.body.classList.remove("with-side");
    for (const each of ["open-faults", "open-help"]) by(each).setAttribute("aria-expanded", "false");
    if (this.back?.isConnected) this.back.focus();
  }

  async details(line, opened) {
    if (!opened && this.showing !== "details") return;
    const asked = `${line.kind} ${line.id}`;
    this.asked = asked;
    const whole = await get("inbox/message", { kind: line.kind, id: line.id }).catch(() => null);
    if (this.asked !== asked) return;
    const look = JSON.stringify({ ...whole, now: 0, nextTs: 0 });
    if (!opened && this.showing === "details" && look === this.look) return;
    const same = this.showing === "details" && this.shown?.id === line.id;
    const places = same ? [...document.querySelectorAll("#side-body, #side-body .whole")].map((each) => each.scrollTop) : [];
    this.look = look;
    const nodes = whole ? detailsOf(whole) : [el("p", { class: "note" }, "The sandbox no longer holds this message.")];
    this.shown = line;
    this.show("details", { message: "Message", rejected: "Rejected message", reply: "Reply" }[line.kind], nodes, { focus: opened });
    // What is being read stays in sight when a status changes.
    document.querySelectorAll("#side-body, #side-body .whole").forEach((each, index) => (each.scrollTop = places[index] ?? 0));
  }

  // Shows again what may have moved on.
  refresh() {
    if (this.showing === "details" && this.shown.kind === "message") this.details(this.shown, false);
  }

  help(recipients) {
    const keys = [["/", "search"], ["↑ ↓", "phones and messages"], ["Enter", "open"], ["r", "reply"], ["f", "faults"], ["?", "help"], ["Esc", "back"]];
    const nodes = [
      el("h3", {}, "Use this sandbox"),
      el("pre", { tabindex: "0" }, environment()),
      el("h3", {}, "Numbers that decide what becomes of a message"),
      el("table", { class: "magic" }, el("tbody", {}, ...magicRows(recipients))),
      el("h3", {}, "Keys"),
      el("dl", { class: "keys" }, ...keys.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
    ];
    this.show("help", "Help", nodes, { button: by("open-help") });
  }
}

export const environment = () => `export DEVINO_API_KEY=any-key\nexport DEVINO_BASE_URL=${location.origin}`;

export const magicRows = (recipients) =>
  [...recipients, { ending: null, means: "DELIVERED" }].map(({ ending, means }) =>
    el("tr", {}, el("th", { scope: "row" }, ending ? el("code", {}, `…${ending}`) : "others"), el("td", {}, means)));

function detailsOf(line) {
  const facts = [];
  const fact = (name, value, node = null) => {
    if (value !== null && value !== undefined && value !== "") facts.push(el("dt", {}, name), el("dd", {}, node ?? String(value)));
  };
  fact("Status", line.status, line.status && statusChip(line.status));
  if (line.times > 1) fact("Sent", line.times, el("span", { class: "chip twice" }, sentTimes(line.times)));
  fact("From", line.from);
  fact("To", line.to);
  fact("Accepted", line.kind === "message" ? fullTime(line.ts) : null);
  fact("Time", line.kind === "message" ? null : fullTime(line.ts));
  fact("Scheduled", line.scheduledTime && fullTime(Date.parse(line.scheduledTime)));
  fact("Segments", line.segments && `${plural(line.segments, "segment")}, ${line.alphabet}, ${plural(line.length, "character")}`);
  fact("Priority", line.priority);
  fact("Validity", line.validity && `${count(line.validity)} s`);
  fact("Message ID", line.kind === "message" ? line.id : null, el("code", {}, line.id));
  fact("Callback URL", line.callbackUrl);
  fact("Options", line.options && JSON.stringify(line.options), el("code", {}, JSON.stringify(line.options ?? null)));
  fact("Receiver", line.url);
  if (line.kind === "reply") fact("Answer", line.answer ?? "no answer");
  const nodes = [el("p", { class: "text whole" }, line.text || "(no text)"), el("dl", { class: "facts" }, ...facts)];
  if (line.reasons) nodes.push(el("h3", {}, "Reasons"), el("ul", {}, ...line.reasons.map(({ key, ref }) => el("li", {}, el("code", {}, ref || "message"), ` ${key}`))));
  if (line.history) nodes.push(el("h3", {}, "Delivery"), el("ol", { class: "steps" }, ...line.history.map((step) => el("li", {}, statusChip(step.status), " ", fullTime(step.ts)))));
  if (line.callbackUrl) nodes.push(el("h3", {}, "Status callbacks"), ...callbacksOf(line.callbacks));
  return nodes;
}

function callbacksOf(callbacks) {
  if (callbacks.length === 0) return [el("p", { class: "note" }, "None was made yet.")];
  const rows = callbacks.flatMap((callback) => callback.attempts.map((attempt, index) =>
    el("tr", {}, el("th", { scope: "row" }, index === 0 ? callback.status : ""), el("td", {}, fullTime(attempt.ts)),
      el("td", {}, el("b", { class: attempt.answer === 200 ? "good" : "bad" }, answerOf(attempt))))));
  return [el("table", { class: "attempts" }, el("thead", {}, el("tr", {}, el("th", {}, "Status"), el("th", {}, "Attempt"), el("th", {}, "Answer"))), el("tbody", {}, ...rows))];
}
