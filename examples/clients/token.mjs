// Reports for a step of Interlock by its token. Copy this file; it needs Node 18 or newer, and nothing else.
//
//   import { Token } from "./token.mjs";
//   const token = new Token(process.env.INTERLOCK_CALLBACK);
//   const { cancel_requested } = await token.heartbeat({ read: 12 });
//   await token.complete({ pr: 812 });

import { pathToFileURL } from "node:url";

const PAUSES = [100, 300, 1000, 3000, 10000]; // milliseconds; every report may be sent twice

/** An answer that is a refusal. `code`: such as "token-revoked"; what to do about it stands in the message. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.code = (problem.type ?? "").split("/").pop();
  }
}

export class Token {
  /** `callback`: the URL that the step handed out. */
  constructor(callback) {
    this.callback = callback;
  }

  /** Report the result, any JSON. The same one again is as good. */
  complete(result = null) {
    return this.#post("complete", { result });
  }

  /** Report a failure. `retryable`: the step may be tried again, if its author allows it. */
  fail(message, { type = "Failed", retryable = false, details = null } = {}) {
    return this.#post("fail", { message, type, retryable, details });
  }

  /** Say that the work goes on. The answer's `cancel_requested` says that nobody wants it any more. */
  heartbeat(details = null) {
    return this.#post("heartbeat", { details });
  }

  /** Say how far the work is: from 0 to 1, in words, or both. */
  progress(fraction = null, message = null) {
    return this.#post("progress", { fraction, message });
  }

  async #post(action, body) {
    for (let tried = 0; ; tried++) {
      let answer;
      try {
        answer = await fetch(`${this.callback}/${action}`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(30000),
        });
      } catch (error) {
        if (tried === PAUSES.length) throw error;
      }
      if (answer?.ok) return answer.json();
      const later = !answer || answer.status === 429 || answer.status >= 502;
      if (!later || tried === PAUSES.length) throw new Refused(answer.status, await answer.json().catch(() => ({})));
      await new Promise((resolve) => setTimeout(resolve, PAUSES[tried]));
    }
  }
}

// node token.mjs complete '{"pr": 812}'
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [action, text] = process.argv.slice(2);
  const token = new Token(process.env.INTERLOCK_CALLBACK);
  const given = text === undefined ? null : JSON.parse(text);
  const actions = {
    complete: () => token.complete(given),
    fail: () => token.fail(given.message, given),
    heartbeat: () => token.heartbeat(given),
    progress: () => token.progress(given.fraction, given.message),
  };
  try {
    console.log(JSON.stringify(await actions[action]()));
  } catch (error) {
    console.error(`${error.code ?? error.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
