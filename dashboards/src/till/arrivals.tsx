/** A member of yours has just come in: only of those who allow it, and never where they are. */
import { useEffect } from 'preact/hooks';
import { now_ms } from '../clock';
import { length } from '../format';
import { Person } from '../icons';
import { arrivals, watchArrivals } from './people';
import { words } from './words';

export function Arrivals() {
  useEffect(watchArrivals, []);
  const say = words.value;
  return (
    <div role="status">
      {arrivals.value.length > 0 && (
        <section class="came card" aria-labelledby="came">
          <h2 id="came">{say.justCame}</h2>
          <ul>
            {arrivals.value.map((one) => (
              <li key={`${one.came_ms} ${one.called} ${one.clerk}`}>
                <Person />
                <span>
                  <strong>{one.called || say.aMember}</strong>{' '}
                  <span class="hint">
                    {say.ago(length(Math.max(60_000, now_ms() - one.came_ms)))}
                    {one.clerk && ` · ${say.by(one.clerk)}`}
                  </span>
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
