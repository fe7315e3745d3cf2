/** Loading, errors and what else stands where content is not there yet. */

import { html, useEffect, useState } from "../../vendor/preact.js";
import { words } from "../words.js";

const PATIENCE_MS = 300;

/** Words that appear only if the wait is long enough to be noticed. */
export function Waiting({ text = words.loading }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return late && html`<p class="soft waiting">${text} …</p>`;
}

/** An error in the server's words. If it passes with time, it counts down and asks by itself. */
export function Failure({ problem, again, label = words.again }) {
  const [left, setLeft] = useState(problem.retryAfter);
  useEffect(() => setLeft(problem.retryAfter), [problem]);
  useEffect(() => {
    if (!again || !problem.retryAfter) return undefined;
    const timer = setTimeout(() => (left > 1 ? setLeft(left - 1) : again()), 1000);
    return () => clearTimeout(timer);
  }, [left, problem]);
  const detail = problem.code === "offline" ? words.noAnswerHere : problem.message;
  return html`<div class="failure" role="alert">
    <p><${Said} text=${detail} /> ${again && problem.retryAfter > 0 && words.retryIn(Math.ceil(left))}</p>
    ${problem.requestId && html`<p class="soft small">${words.error(problem.requestId)}</p>`}
    ${again && html`<button type="button" class="plain" onClick=${again}>${label}</button>`}
  </div>`;
}

/** Text of the server, which is English, or of a person or a document, whose direction is its own. */
export const Said = ({ text }) => html`<bdi lang="en" dir="auto">${text}</bdi>`;
export const Name = ({ text }) => html`<bdi dir="auto">${text}</bdi>`;
