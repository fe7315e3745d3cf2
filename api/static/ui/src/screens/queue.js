/** The queue: what is worked on, what waits for what, what failed and why, and what can be done about it. */

import { html, useEffect, useState } from "../../vendor/preact.js";
import { may } from "../api.js";
import { at } from "../router.js";
import { words } from "../words.js";
import { act, listed, look, problem, retryAll, summary, watch } from "../work.js";
import { Failure, Name, Said, Waiting } from "../parts/state.js";
import { ModelSwaps } from "../parts/swaps.js";

export function Queue() {
  const { query } = at.value;
  const filter = { step: query.get("step") ?? "", error: query.get("error") ?? "" };
  const [told, setTold] = useState("");
  useEffect(() => {
    document.title = `${words.queue.title} · ${words.name}`;
    watch(filter);
    return () => watch(null);
  }, [filter.step, filter.error]);
  const work = summary.value;
  return html`<main id="main" class="work">
    <div class="board">
      <h1 tabindex="-1">${words.queue.title}</h1>
      ${problem.value && html`<${Failure} problem=${problem.value} again=${look} />`}
      ${!work && !problem.value && html`<${Waiting} />`}
      ${work && html`<${Look} work=${work} step=${filter.step} />`}
      ${work?.model_swaps.length > 0 && html`<${ModelSwaps} swaps=${work.model_swaps} />`}
      ${work && html`<div class="causes"><${Waits} work=${work} /><${Failures} work=${work} chosen=${filter} tell=${setTold} /></div>`}
      ${work && html`<${Jobs} jobs=${listed.value} filter=${filter} work=${work} />`}
      <p class="vh" role="status">${told}</p>
    </div>
  </main>`;
}

/** One look: how much there is to do, how fast it goes, and whether anything works on it. */
function Look({ work, step }) {
  const { documents, rate, workers, oldest_wait_seconds: oldest, capped } = work;
  const waits = documents.queued + documents.waiting;
  const stuck = workers?.alive === 0 && waits + documents.running > 0;
  return html`<p class="lead">
      ${words.queue.now(documents.running, waits, capped)} ${waits > 0 && oldest >= 1 && words.queue.oldest(oldest)}
      ${" "}${documents.running > 0 && rate.passages > 0 && words.queue.rate(rate.passages, rate.seconds_left)}
    </p>
    ${stuck && html`<p class="must" role="alert">${words.queue.noWorker}</p>`}
    <ul class="flow" aria-label=${words.queue.steps}>
      ${["chunk", "embed", "upsert"].map(
        (each) => html`<li>
          <a href=${step === each ? "/queue" : `/queue?step=${each}`} aria-current=${step === each ? "true" : undefined}>
            ${words.stepName(each)} <b>${words.queue.count(work.steps[each] ?? 0)}</b>
          </a>
        </li>`,
      )}
      ${workers && html`<li class="soft">${words.queue.workers(workers.alive, workers.slots)}</li>`}
    </ul>`;
}

function Waits({ work }) {
  return html`<section aria-labelledby="waits">
    <h2 class="sc" id="waits">${words.queue.waits}</h2>
    ${work.waiting.length === 0 && html`<p class="soft">${words.queue.nothingWaits}</p>`}
    <ul>
      ${work.waiting.map(
        (each) => html`<li>
          <b>${words.queue.count(each.jobs)}</b>
          <span>
            <${Said} text=${each.waiting_for} />${each.until && words.queue.until(each.until)}
            ${each.message && html`<small><${Said} text=${each.message} /></small>`}
          </span>
        </li>`,
      )}
    </ul>
  </section>`;
}

/** Here alone is red: what goes on only if a person does something. */
function Failures({ work, chosen, tell }) {
  return html`<section aria-labelledby="failed">
    <h2 class="sc" id="failed">${words.queue.failed}</h2>
    ${work.failed.length === 0 && html`<p class="soft">${words.queue.nothingFailed}</p>`}
    <ul>
      ${work.failed.map((each) => html`<li key=${each.step + each.code}><${Cause} cause=${each} chosen=${chosen} tell=${tell} /></li>`)}
    </ul>
  </section>`;
}

function Cause({ cause, chosen, tell }) {
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState(null);
  const isChosen = chosen.error === cause.code && chosen.step === cause.step;
  const again = async () => {
    setBusy(true);
    setFailed(null);
    try {
      tell(words.queue.retried(await retryAll(cause)));
    } catch (problem) {
      setFailed(problem);
    }
    setBusy(false);
  };
  return html`<b class="must">${words.queue.count(cause.jobs)}</b>
    <span>
      <a href=${isChosen ? "/queue" : `/queue?step=${cause.step}&error=${cause.code}`} aria-current=${isChosen ? "true" : undefined}>
        <${Said} text=${cause.message || cause.code} />
      </a>
      <small>${words.queue.code(cause.code, cause.step)}</small>
      ${failed && html`<${Failure} problem=${failed} />`}
    </span>
    ${may("write") &&
    html`<button type="button" class="plain do again" disabled=${busy} onClick=${again}>
      ${busy ? words.queue.retrying : words.queue.retryAll(cause.jobs)}
    </button>`}`;
}

function Jobs({ jobs, filter, work }) {
  if (!jobs) return html`<${Waiting} />`;
  const open = work.documents.queued + work.documents.running + work.documents.waiting;
  if (!jobs.length) return html`<p class="soft quiet">${filter.step || filter.error ? words.queue.noneOfThese : words.queue.quiet}</p>`;
  return html`<table>
      <caption class="vh">${words.queue.jobs}</caption>
      <thead>
        <tr>
          <th scope="col">${words.queue.name}</th>
          <th scope="col">${words.queue.step}</th>
          <th scope="col">${words.queue.state}</th>
          <th scope="col"><span class="vh">${words.queue.actions}</span></th>
        </tr>
      </thead>
      <tbody>
        ${jobs.map((each) => html`<${Row} key=${each.id} job=${each} />`)}
      </tbody>
    </table>
    ${!filter.error && open > jobs.length && html`<p class="soft">${words.queue.more(jobs.length)}</p>`}`;
}

function Row({ job }) {
  const [failed, setFailed] = useState(null);
  const { progress } = job;
  const what = job.status === "failed" ? "retry" : "cancel";
  const go = () => act(job, what).catch(setFailed);
  const share = progress.total ? progress.done / progress.total : null;
  return html`<tr data-status=${job.status}>
    <th scope="row"><a href=${`/d/${job.document_id}`}><${Name} text=${job.filename} /></a></th>
    <td>${words.stepName(job.step)}</td>
    <td>
      <${Standing} job=${job} />
      ${job.status === "running" && share !== null && html`<progress value=${share} max="1" aria-label=${job.filename}></progress>`}
      ${failed && html`<${Failure} problem=${failed} />`}
    </td>
    <td>
      ${may("write") &&
      html`<button type="button" class=${`plain do${what === "retry" ? " again" : ""}`} aria-label=${words.queue.doTo(what, job.filename)} onClick=${go}>${words.queue[what]}</button>`}
    </td>
  </tr>`;
}

function Standing({ job }) {
  const { progress } = job;
  if (job.status === "failed") return html`<span><${Said} text=${job.error?.message || job.error?.code} /></span>`;
  if (job.waiting_for) {
    const later = job.next_attempt_at && new Date(job.next_attempt_at) > new Date();
    return html`<${Said} text=${later ? words.waitsUntil(job.waiting_for, job.next_attempt_at) : words.waits(job.waiting_for)} />
      ${job.attempts > 1 && html`<small>${words.queue.attempt(job.attempts)}</small>`}`;
  }
  return html`${progress.total ? words.queue.progress(progress.done, progress.total, progress.unit) : words.queue.begun}
    ${job.heartbeat_at && html`<small>${words.queue.sign((Date.now() - new Date(job.heartbeat_at)) / 1000)}</small>`}`;
}
