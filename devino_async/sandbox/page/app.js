// The inbox of the sandbox: joins its parts. It asks for what is stored at once, and again at each event.

import { get, listen } from "./api.js";
import { Conversation } from "./conversation.js";
import { by, count } from "./dom.js";
import { Faults } from "./faults.js";
import { Phones } from "./phones.js";
import { environment, magicRows, Side } from "./side.js";

const LINK = { live: "Live", lost: "Not connected", wait: "Connecting" };

const side = new Side();
const faults = new Faults(side);
const conversation = new Conversation((line, opened) => side.details(line, opened));
const phones = new Phones((phone, opened) => open(phone, opened));
let recipients = [];

function open(phone, opened) {
  conversation.show(phone);
  history.replaceState(null, "", `#${encodeURIComponent(phone)}`);
  layout();
  if (opened) {
    document.body.classList.add("reading");
    by("lines").focus();
    conversation.list.resized();
  }
}

function close() {
  document.body.classList.remove("reading");
  by("phones").focus();
}

// Decides which of the three faces the middle has.
function layout() {
  const none = phones.list.all === 0 && !phones.search;
  const talking = conversation.phone !== null && !none;
  by("empty").hidden = !none;
  by("choose").hidden = none || talking;
  by("talk").hidden = !talking;
  document.body.classList.toggle("none", none);
  if (none) {
    document.body.classList.remove("reading");
    if (conversation.phone !== null && conversation.list.total !== null) conversation.leave();
  }
}

function counted({ accepted, rejected, repeated }) {
  by("accepted").textContent = count(accepted);
  by("rejected").textContent = count(rejected);
  by("repeated").textContent = count(repeated);
  by("twice").classList.toggle("alarm", repeated > 0);
}

function changed(event) {
  counted(event.counts);
  faults.set(event.faults);
  if (document.activeElement !== by("keep")) by("keep").value = event.keep ?? "";
  phones.refresh();
  conversation.refresh();
}

function fate(phone) {
  const found = recipients.filter(({ ending }) => phone.endsWith(ending)).sort((a, b) => b.ending.length - a.ending.length)[0];
  return found ? `…${found.ending}: ${found.means}` : "";
}

const KEYS = {
  "/": () => by("search").select(),
  r: () => !by("talk").hidden && by("reply-text").focus(),
  f: () => faults.toggle(),
  "?": () => help(),
};

function help() {
  if (side.showing === "help") side.close();
  else side.help(recipients);
}

function escaped() {
  if (document.activeElement === by("search") && by("search").value) {
    by("search").value = "";
    phones.searchFor("");
  } else if (side.showing !== null) side.close();
  else if (document.activeElement === by("reply-text")) by("lines").focus();
  else close();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || by("sure").open) return;
  if (event.key === "Escape") return escaped();
  if (event.target.closest("input, textarea, select")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

by("back").addEventListener("click", close);
by("open-help").addEventListener("click", help);
phones.counted = layout;
phones.searched = (search) => conversation.searchFor(search);
conversation.fate = fate;
conversation.changed = () => side.refresh();

by("how-env").textContent = environment();
by("how-send").textContent =
  `curl ${location.origin}/sms/messages \\\n  -H 'Authorization: Key any-key' \\\n  -d '{"messages": [{"from": "Shop", "to": "79000000001", "text": "Hello"}]}'`;

// The sandbox may have stopped. What could not be asked is asked again at the next event.
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  console.warn(event.reason);
});

// The address of the page names the phone that is shown, so a reload shows it again.
function phoneInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

const wanted = phoneInAddress();
if (wanted) {
  phones.list.activeKey = wanted;
  conversation.show(wanted);
}
phones.refresh();
get("counts").then(counted);
get("faults").then((now) => faults.set(now));
get("recipients").then((found) => {
  recipients = found.recipients;
  by("magic-empty").replaceChildren(...magicRows(recipients));
  if (conversation.phone !== null) by("about").textContent = fate(conversation.phone);
});
listen(changed, (state) => {
  by("link").dataset.state = state;
  by("link").textContent = LINK[state];
});
