// The panel of faults. Every change is sent at once, and events keep it in step with the sandbox.

import { post, remove } from "./api.js";
import { by, el } from "./dom.js";

const ANSWERS = [
  ["tooManyRequests", "429 Too many requests", "nothing is accepted"],
  ["unavailable", "503 Unavailable", "nothing is accepted"],
  ["lostAnswer", "Answer lost", "after acceptance"],
  ["cutAnswer", "Answer cut in half", "after acceptance"],
  ["malformedRows", "Malformed rows", "in statuses and details"],
];
const CHOICES = [["off", "Off", false], ["once", "Once", 1], ["always", "Always", true]];

const choiceOf = (value) => (value === true ? "always" : value ? "once" : "off");

export class Faults {
  constructor(side) {
    this.side = side;
    this.now = null;
    this.form = by("faults-form").content.firstElementChild.cloneNode(true);
    const rows = this.form.querySelector('[data-group="answers"]');
    for (const [name, title, small] of ANSWERS) rows.append(this.row(name, title, small));
    this.form.addEventListener("change", (event) => this.changed(event.target));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.elements.off.addEventListener("click", () => this.send(remove("faults")));
    by("open-faults").addEventListener("click", () => this.toggle());
  }

  row(name, title, small) {
    const choices = CHOICES.map(([choice, label]) => {
      const radio = el("input", { type: "radio", name, value: choice, checked: choice === "off" });
      return el("label", {}, radio, el("span", {}, label));
    });
    const id = `fault-${name}`;
    const heading = el("span", { class: "fault-name", id }, title, el("small", {}, small));
    return el("div", { class: "fault", role: "radiogroup", "aria-labelledby": id }, heading, el("span", { class: "choices" }, ...choices));
  }

  toggle() {
    if (this.side.showing === "faults") this.side.close();
    else this.side.show("faults", "Faults", [this.form], { button: by("open-faults") });
  }

  changed(field) {
    if (!field.reportValidity()) return;
    const { name } = field;
    if (field.type === "radio") return this.send(post("faults", { [name]: CHOICES.find(([choice]) => choice === field.value)[2] }));
    if (name === "latency") return this.send(post("faults", { latency: Number(field.value) }));
    const value = { duplicate: field.checked ? 1 : 0, drop: field.checked ? 1 : 0, disorder: field.checked, delay: Number(field.value) }[name];
    return this.send(post("faults", { callbacks: { [name]: value } }));
  }

  async send(asking) {
    const said = this.form.querySelector(".faults-said");
    try {
      this.set(await asking);
      said.textContent = "";
    } catch (error) {
      said.textContent = error.message;
    }
  }

  set(faults) {
    this.now = faults;
    const { elements } = this.form;
    for (const [name] of ANSWERS) elements[name].value = choiceOf(faults[name]);
    for (const [name, value] of [["latency", faults.latency], ["delay", faults.callbacks.delay]]) {
      // A number that is being typed stays.
      if (document.activeElement !== elements[name]) elements[name].value = value;
    }
    elements.duplicate.checked = faults.callbacks.duplicate > 0;
    elements.drop.checked = faults.callbacks.drop > 0;
    elements.disorder.checked = faults.callbacks.disorder;
    const { duplicate, drop, delay, disorder } = faults.callbacks;
    const on = [...ANSWERS.map(([name]) => faults[name]), faults.latency, duplicate, drop, delay, disorder].filter(Boolean).length;
    by("faults-on").hidden = on === 0;
    by("faults-on").textContent = on;
    by("open-faults").setAttribute("aria-label", on ? `Faults, ${on} on` : "Faults");
    elements.off.disabled = on === 0;
  }
}
