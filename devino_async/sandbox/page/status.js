// How a status, and a callback with its attempts, look in a line and in the details.

import { el, fullTime } from "./dom.js";

const KINDS = {
  DELIVERED: "good", SEEN: "good", CLICKED: "good",
  UNDELIVERABLE: "bad", REJECTED: "bad", DELETED: "bad",
  EXPIRED: "warn", UNKNOWN: "warn",
  SCHEDULED: "later",
};

export const statusChip = (status) => el("span", { class: `chip status ${KINDS[status] ?? "moving"}` }, status);

// The sandbox counts to a hundred.
export const sentTimes = (times) => (times === 2 ? "twice" : times < 100 ? `${times} times` : "100 times or more");

export const answerOf = (attempt) => (attempt.answer === null ? attempt.problem : String(attempt.answer));

// Returns answers in which equal neighbours are told once: 500 ×3, 200.
function runs(answers) {
  const found = [];
  for (const answer of answers) {
    if (found.at(-1)?.answer === answer) found.at(-1).times += 1;
    else found.push({ answer, times: 1 });
  }
  return found.map(({ answer, times }) => (times === 1 ? answer : `${answer} ×${times}`));
}

export function callbackChip(callback) {
  const last = callback.attempts.at(-1);
  const kind = last.answer === 200 ? "good" : last.problem === "dropped by a fault" ? "warn" : "bad";
  const shown = runs(callback.attempts.map(answerOf));
  const title = callback.attempts.map((attempt) => `${fullTime(attempt.ts)}: ${answerOf(attempt)}`).join("\n");
  return el("span", { class: "callback", title }, callback.status, " ", el("b", { class: kind }, shown.join(", ")));
}
