/** The shop's day so far. */
import { useState } from 'preact/hooks';
import type { Settlement } from '../contract';
import { count, timeOfDay } from '../format';
import { called } from '../language';
import { words } from './words';

// Enough to find the last customers; the whole day would push the field they type in out of sight.
const SHOWN = 10;

export function Today({ settlement }: { settlement: Settlement }) {
  const say = words.value;
  const [all, showAll] = useState(false);
  const newestFirst = [...settlement.lines].sort((a, b) => b.redeemed_ms - a.redeemed_ms);
  return (
    <section class="today card" aria-labelledby="today">
      <header>
        <h2 id="today">{say.today}</h2>
        <p>
          <strong>{count(settlement.redeemed)}</strong> {say.redeemedToday}
          {settlement.restored > 0 && (
            <>
              {' · '}
              <strong>{count(settlement.restored)}</strong> {say.undoneToday}
            </>
          )}
        </p>
      </header>
      {newestFirst.length === 0 ? (
        <p class="hint none">{say.noneToday}</p>
      ) : (
        <>
          <ul>
            {newestFirst.slice(0, all ? undefined : SHOWN).map((line) => (
              <li key={line.redemption} class={line.restored_ms === null ? '' : 'restored'}>
                <time dateTime={new Date(line.redeemed_ms).toISOString()}>{timeOfDay(line.redeemed_ms)}</time>
                <span class="what">
                  <span class="title">{called(line.title)}</span>
                  <small>{say.tail(line.code_last4)}</small>
                </span>
                {line.restored_ms !== null && <span class="tag">{say.undone}</span>}
              </li>
            ))}
          </ul>
          {!all && newestFirst.length > SHOWN && (
            <button class="more" type="button" onClick={() => showAll(true)}>
              {say.all(count(newestFirst.length))}
            </button>
          )}
          <a class="csv" href={`/v1/settlement.csv?day=${settlement.day}`} download>
            {say.csv}
          </a>
        </>
      )}
    </section>
  );
}
