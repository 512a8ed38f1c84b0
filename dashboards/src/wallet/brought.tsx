/** The shop that brought the member: for how long that counts, what they may be called there, and a second invitation. */
import { useState } from 'preact/hooks';
import type { BroughtBy, Wallet } from '../contract';
import { date } from '../format';
import { called } from '../language';
import { callMe, dismiss, follow, invitation } from './invited';
import { inviting } from './join';
import { fetchOnce } from './store';
import { words } from './words';

const shopOf = (by: BroughtBy) => words.value.who(called(by.shop.name), by.clerk);

/** What a member sees who scans an invitation: a question, or that the first credit stands. */
export function Second({ wallet }: { wallet: Wallet }) {
  const say = words.value;
  const now = invitation.value;
  const stands = wallet.brought_by;
  const text = (): string | null => {
    if (now.state === 'over') return say.joinProblems[now.problem.kind] ?? now.problem.title;
    if (now.state === 'refused') return say.joinProblems[now.problem.kind] ?? say.stands;
    if (now.state !== 'open') return null;
    return stands ? say.already(shopOf(stands), date(stands.until_ms)) : `${inviting(now.by)} ${say.mayThey}`;
  };
  const said = text();
  if (said === null) return null;
  return (
    <section class="second card" aria-label={say.invitation} role="status">
      <p>{said}</p>
      <div class="acts">
        {now.state === 'open' && !stands ? (
          <>
            <button class="primary" type="button" onClick={() => void follow(now.id, now.by).then(fetchOnce)}>
              {say.theyDid}
            </button>
            <button class="plain" type="button" onClick={dismiss}>
              {say.theyDidNot}
            </button>
          </>
        ) : (
          <button class="plain" type="button" onClick={dismiss}>
            {say.fine}
          </button>
        )}
      </div>
    </section>
  );
}

function CallMe({ by }: { by: BroughtBy }) {
  const [name, setName] = useState(by.called);
  const [saved, setSaved] = useState<boolean | null>(null);
  const say = words.value;

  async function save(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    setSaved(await callMe(name.trim()));
    await fetchOnce();
  }

  return (
    <form class="line" onSubmit={(event) => void save(event as unknown as SubmitEvent)}>
      <label for="called">{say.calledAs}</label>
      <div>
        <input
          id="called"
          value={name}
          maxLength={40}
          autocomplete="off"
          placeholder={say.calledNothing}
          onInput={(event) => {
            setName(event.currentTarget.value);
            setSaved(null);
          }}
        />
        <button class="small" type="submit">
          {say.save}
        </button>
      </div>
      <p class="hint" role="status">
        {saved === null ? '' : saved ? say.savedIt : say.problems.failed}
      </p>
    </form>
  );
}

export function Brought({ wallet }: { wallet: Wallet }) {
  const by = wallet.brought_by;
  if (!by) return null;
  const say = words.value;
  const greets = wallet.consents.some((one) => one.purpose === 'greeting' && one.granted);
  return (
    <section class="part card" aria-labelledby="brought">
      <h2 id="brought">{say.broughtBy(shopOf(by))}</h2>
      <p class="hint">{say.broughtHint(date(by.from_ms), date(by.until_ms))}</p>
      {greets && <CallMe by={by} />}
    </section>
  );
}
