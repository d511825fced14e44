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

export function callbackChip(callback) {
  const last = callback.attempts.at(-1);
  const kind = last.answer === 200 ? "good" : last.problem === "dropped by a fault" ? "warn" : "bad";
  const answers = callback.attempts.map(answerOf);
  const shown = answers.length > 3 ? [`${answers.length} attempts`, answers.at(-1)] : answers;
  const title = callback.attempts.map((attempt) => `${fullTime(attempt.ts)}: ${answerOf(attempt)}`).join("\n");
  return el("span", { class: "callback", title }, callback.status, " ", el("b", { class: kind }, shown.join(", ")));
}
