/** Joining by an invitation: who invites, what is asked, and nothing agreed to that was not ticked. */
import { useMemo, useState } from 'preact/hooks';
import type { Invited } from '../contract';
import { Mark } from '../icons';
import { called } from '../language';
import { Bar } from '../shell';
import { words as shared } from '../words';
import { join, joinKey, joinProblem, type Invitation } from './invited';
import { words } from './words';

export function inviting(by: Invited): string {
  return words.value.inviting(called(by.shop.name), by.clerk);
}

function Tick({ purpose, ticked, tick }: { purpose: string; ticked: boolean; tick: (on: boolean) => void }) {
  const { name, what } = words.value.purposes[purpose] ?? { name: purpose, what: '' };
  return (
    <li class="consent">
      <label for={`join-${purpose}`}>
        <strong>{name}</strong>
        <span id={`join-what-${purpose}`} class="hint">
          {what}
        </span>
      </label>
      <input
        id={`join-${purpose}`}
        type="checkbox"
        role="switch"
        aria-describedby={`join-what-${purpose}`}
        checked={ticked}
        onChange={(event) => tick(event.currentTarget.checked)}
      />
    </li>
  );
}

function Form({ id, by }: { id: string; by: Invited }) {
  const key = useMemo(joinKey, [id]);
  const [busy, setBusy] = useState(false);
  const [ticked, setTicked] = useState<ReadonlySet<string>>(new Set());
  const say = words.value;
  const problem = joinProblem.value;
  // Notifications and messages need this phone's part, which the wallet asks for once it is open.
  const asked = by.purposes.filter((purpose) => purpose !== 'web_push' && purpose !== 'messages');

  function tick(purpose: string, on: boolean): void {
    const next = new Set(ticked);
    if (on) next.add(purpose);
    else next.delete(purpose);
    setTicked(next);
  }

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const told = new FormData(event.currentTarget as HTMLFormElement);
    const [month, day] = [told.get('month'), told.get('day')].map((part) => String(part ?? ''));
    setBusy(true);
    await join(id, key, {
      name: String(told.get('name')).trim(),
      birthday: month && day ? `${month}-${day}` : null,
      consents: [...ticked],
    });
    setBusy(false);
  }

  const two = (n: number) => String(n).padStart(2, '0');
  return (
    <form class="join card" onSubmit={(event) => void submit(event as unknown as SubmitEvent)}>
      <label for="name">{say.yourName}</label>
      <input id="name" name="name" required maxLength={64} pattern=".*\S.*" autocomplete="nickname" aria-describedby="name-hint" />
      <p id="name-hint" class="hint">
        {say.yourNameHint}
      </p>
      <fieldset>
        <legend>{say.birthday}</legend>
        <select name="month" aria-label={say.month}>
          <option value="">{say.month}</option>
          {[...Array(12).keys()].map((n) => (
            <option key={n} value={two(n + 1)}>
              {n + 1}
            </option>
          ))}
        </select>
        <select name="day" aria-label={say.day}>
          <option value="">{say.day}</option>
          {[...Array(31).keys()].map((n) => (
            <option key={n} value={two(n + 1)}>
              {n + 1}
            </option>
          ))}
        </select>
      </fieldset>
      <h2>{say.consents}</h2>
      <p class="hint">{say.joinHint}</p>
      <ul>
        {asked.map((purpose) => (
          <Tick key={purpose} purpose={purpose} ticked={ticked.has(purpose)} tick={(on) => tick(purpose, on)} />
        ))}
      </ul>
      <p class="hint">{say.creditRule(called(by.shop.name), by.credit_days)}</p>
      {problem && (
        <p class="notice bad" role="alert">
          {say.joinProblems[problem.kind] ?? shared.value.refused(problem.title, problem.status)}
        </p>
      )}
      <button class="primary" type="submit" disabled={busy}>
        {busy ? say.joining : say.join}
      </button>
    </form>
  );
}

/** The page for who has no wallet yet. */
export function Join({ now, haveKey }: { now: Invitation & { state: 'asking' | 'open' | 'over' }; haveKey: () => void }) {
  const say = words.value;
  document.title = `Sojourn · ${say.joinTitle}`;
  return (
    <>
      <Bar title={say.title} />
      <main class="wallet" aria-busy={now.state === 'asking'}>
        {now.state === 'asking' && <p class="empty">{shared.value.loading}</p>}
        {now.state === 'over' && (
          <div class="empty card">
            <Mark size={64} />
            <p role="alert">{say.joinProblems[now.problem.kind] ?? shared.value.refused(now.problem.title, now.problem.status)}</p>
          </div>
        )}
        {now.state === 'open' && (
          <>
            <header>
              <h1>{inviting(now.by)}</h1>
              <p class="hint">{say.invitingHint}</p>
            </header>
            <Form id={now.id} by={now.by} />
          </>
        )}
        <button class="plain" type="button" onClick={haveKey}>
          {say.haveWallet}
        </button>
      </main>
    </>
  );
}
