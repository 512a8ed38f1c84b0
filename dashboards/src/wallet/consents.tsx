/** What the member allows: one switch for each purpose, as easy to turn off as on. */
import type { Consent } from '../contract';
import { dateAndTime } from '../format';
import { state, turnConsent } from './store';
import { words } from './words';

function standing({ granted, at_ms }: Consent): string {
  const say = words.value;
  if (at_ms === null) return say.never;
  return granted ? say.since(dateAndTime(at_ms)) : say.withdrawn(dateAndTime(at_ms));
}

function Switch({ consent }: { consent: Consent }) {
  const { purpose } = consent;
  const say = words.value;
  const { name, what } = say.purposes[purpose] ?? { name: purpose, what: '' };
  const turning = state.value.turning.get(purpose);
  return (
    <li class="consent">
      <label for={`consent-${purpose}`}>
        <strong>{name}</strong>
        <span id={`what-${purpose}`} class="hint">
          {what}
        </span>
        <span class="standing" aria-live="polite">
          {state.value.failed === purpose ? say.problems[state.value.problem ?? 'failed'] : standing(consent)}
        </span>
      </label>
      <input
        id={`consent-${purpose}`}
        type="checkbox"
        role="switch"
        aria-describedby={`what-${purpose}`}
        checked={turning ?? consent.granted}
        disabled={turning !== undefined}
        onChange={(event) => void turnConsent(purpose, event.currentTarget.checked)}
      />
    </li>
  );
}

export function Consents({ consents, login }: { consents: readonly Consent[]; login: string }) {
  return (
    <section class="consents card" aria-labelledby="consents">
      <h2 id="consents">{words.value.consents}</h2>
      <p class="hint">{words.value.consentsHint}</p>
      <ul>
        {consents.map((consent) => (
          <Switch key={consent.purpose} consent={consent} />
        ))}
      </ul>
      <p class="hint wifi">
        {words.value.wifi} <strong>{login}</strong>
      </p>
    </section>
  );
}
