/** The shop's day so far. */
import type { Settlement } from '../contract';
import { count, timeOfDay } from '../format';
import { called } from '../language';
import { words } from './words';

export function Today({ settlement }: { settlement: Settlement }) {
  const say = words.value;
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
            {newestFirst.map((line) => (
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
          <a class="csv" href={`/v1/settlement.csv?day=${settlement.day}`} download>
            {say.csv}
          </a>
        </>
      )}
    </section>
  );
}
