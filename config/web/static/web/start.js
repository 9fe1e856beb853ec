// The start page: shows the answer of /readyz, and opens a chat with two users.

const CHECK_INTERVAL = 10_000;
const CHECK_TIMEOUT = 15_000; // above CHAT_DATABASE_TIMEOUT, after which the server answers by itself
const STORED_CHAT = "chat-playground";

const STATES = {
  ok: ["Ready", "state state-ok"],
  degraded: ["Degraded", "state state-warn"],
  unavailable: ["Not ready", "state state-bad"],
};
const DATABASE_REASONS = {
  unreachable: "The database does not answer. Check that it runs, and DATABASE_URL.",
  "migrations missing": "The database lacks migrations. Run: python manage.py migrate",
  "not asked: going down": "This server is shutting down.",
};
const WITHOUT_REDIS = "Redis does not answer. Messages between server processes arrive within a second instead of at once.";
const NO_ANSWER = "The server does not answer. Check that it runs; this page asks again.";

const element = (id) => document.getElementById(id);

function show(state, reason, answer = {}) {
  const [label, className] = STATES[state];
  element("state").textContent = label;
  element("state").className = className;
  element("reason").textContent = reason;
  for (const part of ["database", "channel_layer"]) {
    const value = answer[part] ?? "";
    element(part).textContent = value === "in-process" ? "" : value;
  }
  element("checked").textContent = `Checked at ${new Date().toLocaleTimeString()}`;
}

function reasonOf(answer) {
  if (answer.status === "ok") return "The database answers and all migrations are applied.";
  if (answer.status === "degraded") return WITHOUT_REDIS;
  return DATABASE_REASONS[answer.database] ?? `The database is: ${answer.database}.`;
}

async function check() {
  try {
    const response = await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(CHECK_TIMEOUT) });
    const answer = await response.json();
    show(answer.status in STATES ? answer.status : "unavailable", reasonOf(answer), answer);
  } catch {
    show("unavailable", NO_ANSWER);
  }
}

async function createChat(form) {
  const response = await fetch(form.action, {
    method: "POST",
    headers: { "X-CSRFToken": new FormData(form).get("csrfmiddlewaretoken"), Accept: "application/json" },
  });
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : {};
  if (!response.ok) throw new Error(answer.detail ?? `The server answered ${response.status}. Reload this page and try again.`);
  return answer;
}

async function openChat(form) {
  const button = form.querySelector("button");
  const problem = element("demo-problem");
  problem.hidden = true;
  button.disabled = true;
  try {
    const chat = await createChat(form);
    sessionStorage.setItem(STORED_CHAT, JSON.stringify(chat));
    location.assign(form.dataset.playground);
  } catch (error) {
    problem.textContent = error instanceof TypeError ? NO_ANSWER : error.message;
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
}

const form = element("demo");
if (form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    openChat(form);
  });
}
element("check").hidden = false;
element("check").addEventListener("click", check);
setInterval(() => document.visibilityState === "visible" && check(), CHECK_INTERVAL);
check();
