/** The answer, to be seen from two steps away: green or red, and why. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { now_ms } from '../clock';
import { dateAndTime, length, MINOR, money, timeOfDay } from '../format';
import type { Problem } from '../http';
import { Cross, Tick, Undo } from '../icons';
import { called } from '../language';
import { grouped } from './code';
import type { Attempt, Screen } from './state';
import { happen, send, undo } from './store';
import { words } from './words';

function number(fact: unknown): number | null {
  return typeof fact === 'number' ? fact : null;
}

/** Why not, in words for the shop. */
export function reason({ kind, title, facts }: Problem): string {
  const say = words.value.reasons;
  const redeemed_ms = number(facts['redeemed_ms']);
  const expires_ms = number(facts['expires_ms']);
  const starts_ms = number(facts['starts_ms']);
  const spend_minor = number(facts['spend_minor']);
  switch (kind) {
    case 'not-found':
      return String(facts['reason'] ?? '').startsWith('mistyped') ? say.mistyped : say.unknown;
    case 'already-redeemed':
      return redeemed_ms === null ? say.redeemedElsewhere : say.redeemedHere(timeOfDay(redeemed_ms));
    case 'expired':
      return expires_ms === null ? title : say.expired(dateAndTime(expires_ms));
    case 'void':
      return facts['reason'] === 'superseded' ? say.superseded : say.void;
    case 'wrong-shop':
      return say.wrongShop;
    case 'wrong-holder':
      return say.wrongHolder;
    case 'not-yet-valid':
      return starts_ms === null ? say.notYet : say.notBefore(timeOfDay(starts_ms));
    case 'outside-hours':
      return say.hours(String(facts['hours'] ?? ''));
    case 'condition-failed':
      return spend_minor === null ? title : say.spend(money(spend_minor));
    case 'in-progress':
      return say.tooMany;
    case 'too-many-requests':
      return say.tooMany;
    case 'unreachable':
      return say.unreachable;
    default:
      return say.other(title);
  }
}

/** The button to go on with has the focus, so that the next code can follow by the Enter key alone; the answer is seen. */
function Onwards({ children, act }: { children: string; act: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    button.current?.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }, []);
  return (
    <button ref={button} class="onwards" type="button" onClick={act}>
      {children}
    </button>
  );
}

/** A coupon from an amount on: what is paid, asked for only where it matters. */
function Amount({ attempt, least_minor }: { attempt: Attempt; least_minor: number }) {
  const [amount, setAmount] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const say = words.value;
  const amount_minor = Math.round(Number(amount) * MINOR);
  const enough = amount_minor >= least_minor;
  return (
    <form
      class="amount"
      onSubmit={(event) => {
        event.preventDefault();
        // Another question than the refused one, so another key.
        if (enough) void send({ ...attempt, key: crypto.randomUUID(), amount_minor });
      }}
    >
      <label for="amount">{say.amount}</label>
      <input
        ref={field}
        id="amount"
        type="number"
        inputmode="decimal"
        min={least_minor / MINOR}
        step="0.01"
        required
        value={amount}
        onInput={(event) => setAmount(event.currentTarget.value)}
      />
      <button class="onwards" type="submit" disabled={amount === ''}>
        {say.redeem}
      </button>
    </form>
  );
}

/** The coupon is good, from an amount on: a question, and no verdict yet. */
function HowMuch({ attempt, least_minor }: { attempt: Attempt; least_minor: number }) {
  const say = words.value;
  return (
    <section class="verdict unsure" data-verdict="ask" data-reason="condition-failed">
      <div role="alert">
        <h1>{say.howMuch}</h1>
        <p class="why">{say.reasons.spend(money(least_minor))}</p>
        <p class="code">{grouped(attempt.code)}</p>
      </div>
      <Amount attempt={attempt} least_minor={least_minor} />
      <button class="undo" type="button" onClick={next}>
        {say.back}
      </button>
    </section>
  );
}

const next = () => happen({ kind: 'next' });

export function Yes({ screen }: { screen: Screen & { name: 'yes' } }) {
  const { redemption, undo: undoing, undoProblem } = screen;
  const say = words.value;
  const left_ms = redemption.undo_until_ms - now_ms();
  if (undoing === 'done') {
    return (
      <section class="verdict undone" role="alert" data-verdict="undone">
        <span class="disc">
          <Undo />
        </span>
        <h1>{say.undone}</h1>
        <p>{called(redemption.title)}</p>
        <p class="fact">{say.undoneHint}</p>
        <Onwards act={next}>{say.next}</Onwards>
      </section>
    );
  }
  return (
    <section class="verdict yes" data-verdict="yes">
      <div role="alert">
        <span class="disc">
          <Tick size={84} />
        </span>
        <span class="unseen">{say.yes}</span>
        <h1>{called(redemption.title)}</h1>
        <p class="fact">{say.redeemedAt(timeOfDay(redemption.redeemed_ms))}</p>
      </div>
      <Onwards act={next}>{say.next}</Onwards>
      {left_ms > 0 ? (
        <button class="undo" type="button" disabled={undoing === 'sending'} onClick={() => void undo(redemption.redemption)}>
          <Undo />
          {undoing === 'sending' ? say.undoing : say.undoLeft(length(left_ms))}
        </button>
      ) : (
        <p class="fact">{say.undoOver}</p>
      )}
      {undoProblem && <p role="alert">{undoProblem.kind === 'too-late' ? say.undoOver : reason(undoProblem)}</p>}
    </section>
  );
}

export function No({ screen }: { screen: Screen & { name: 'no' } }) {
  const { attempt, problem } = screen;
  const say = words.value;
  const least_minor = problem.kind === 'condition-failed' ? number(problem.facts['spend_minor']) : null;
  const unsure = problem.kind === 'unreachable' || problem.status >= 500 || problem.status === 429;
  if (least_minor !== null && attempt.amount_minor === undefined) return <HowMuch attempt={attempt} least_minor={least_minor} />;
  return (
    <section class={`verdict ${unsure ? 'unsure' : 'no'}`} data-verdict={unsure ? 'unsure' : 'no'} data-reason={problem.kind}>
      <div role="alert">
        <span class="disc">{unsure ? <Undo /> : <Cross size={84} />}</span>
        <h1>{unsure ? problem.title || say.again : say.no}</h1>
        <p class="why">{reason(problem)}</p>
        <p class="code">{grouped(attempt.code)}</p>
      </div>
      {least_minor !== null && <Amount attempt={attempt} least_minor={least_minor} />}
      {unsure && <Onwards act={() => void send(attempt)}>{say.again}</Onwards>}
      {unsure ? (
        <button class="undo" type="button" onClick={next}>
          {say.back}
        </button>
      ) : (
        <Onwards act={next}>{say.back}</Onwards>
      )}
    </section>
  );
}
