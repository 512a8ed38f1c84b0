/** Why did I get this? The reason in a sentence, and all that was looked at when it was given. */
import { useState } from 'preact/hooks';
import type { Coupon, Why } from '../contract';
import { ask } from '../http';
import { timeOfDay } from '../format';
import { Tick } from '../icons';
import { called } from '../language';
import { words } from './words';

type Told = { state: 'closed' | 'asking' | 'lost' } | { state: 'told'; why: Why };

export function WhyThis({ coupon }: { coupon: Coupon }) {
  const [told, setTold] = useState<Told>({ state: 'closed' });
  const say = words.value;

  async function tell(open: boolean): Promise<void> {
    if (!open || told.state === 'told') return;
    setTold({ state: 'asking' });
    const answer = await ask('get', '/v1/wallet/coupons/{coupon}/why', { parts: { coupon: coupon.id } });
    setTold(answer.ok ? { state: 'told', why: answer.body } : { state: 'lost' });
  }

  return (
    <details onToggle={(event) => void tell(event.currentTarget.open)}>
      <summary>{say.why}</summary>
      <p>{called(coupon.why)}</p>
      <div aria-live="polite">
        {told.state === 'asking' && <p class="hint">{say.asking}</p>}
        {told.state === 'told' && told.why.reasons.length > 0 && (
          <>
            <p class="asked">{say.lookedAt(timeOfDay(told.why.given_ms))}</p>
            <ul class="looked">
              {told.why.reasons.map((reason) => (
                <li key={reason['en']}>
                  <Tick size={18} />
                  <span>{called(reason)}</span>
                </li>
              ))}
            </ul>
          </>
        )}
        {told.state === 'lost' && <p class="hint">{say.whyLost}</p>}
        {told.state === 'told' && told.why.reasons.length === 0 && <p class="hint">{say.forgotten}</p>}
      </div>
    </details>
  );
}
