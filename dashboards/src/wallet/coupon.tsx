/** A coupon that can be spent, as a ticket; and one that is over, as a line. */
import { now_ms } from '../clock';
import type { Coupon } from '../contract';
import { dateAndTime, length, timeOfDay } from '../format';
import { Cross, Place, Rise, Tick } from '../icons';
import { called, type Names } from '../language';
import { Qr } from '../qr';
import { state } from './store';
import { WhyThis } from './why';
import { words } from './words';

function shopNames(coupon: Coupon): string {
  return coupon.shops.map((shop) => words.value.atShop(called(shop.name), called(shop.level ?? {}))).join(' · ');
}

/** Part of the coupon's time that is left, 0..1. */
function remaining(coupon: Coupon, at_ms: number): number {
  const all = coupon.expires_ms - coupon.issued_ms;
  return all > 0 ? Math.min(1, Math.max(0, (coupon.expires_ms - at_ms) / all)) : 0;
}

function More({ title, text }: { title: string; text: Names }) {
  return (
    <details>
      <summary>{title}</summary>
      <p>{called(text)}</p>
    </details>
  );
}

export function Ticket({ coupon }: { coupon: Coupon }) {
  const say = words.value;
  const at_ms = now_ms();
  const left = remaining(coupon, at_ms);
  const isNew = state.value.arrived.has(coupon.id);
  return (
    <article class={`ticket${isNew ? ' arrived' : ''}`} data-coupon={coupon.id} data-state={coupon.state}>
      <div class="ticket-head">
        <h2>{called(coupon.title)}</h2>
        <p class="shops">
          <Place size={18} />
          <span>{shopNames(coupon)}</span>
        </p>
        <div class={`left${left < 0.2 ? ' short' : ''}`}>
          <p>
            <strong>{say.left(length(coupon.expires_ms - at_ms))}</strong>
            <span>{say.until(timeOfDay(coupon.expires_ms))}</span>
          </p>
          <div class="left-bar">
            <i style={{ width: `${left * 100}%` }} />
          </div>
        </div>
      </div>
      <div class="ticket-body">
        <p class="hint">{say.show}</p>
        <Qr text={coupon.url} label={say.qr(coupon.code)} />
        <p class="code">
          <span class="unseen">{say.code} </span>
          {coupon.code}
        </p>
      </div>
      <div class="ticket-foot">
        <WhyThis coupon={coupon} />
        {coupon.terms && <More title={say.terms} text={coupon.terms} />}
      </div>
    </article>
  );
}

function outcome(coupon: Coupon): string {
  const say = words.value;
  if (coupon.state === 'redeemed') return say.redeemed(dateAndTime(coupon.redeemed_ms ?? coupon.issued_ms));
  if (coupon.state === 'superseded') return say.superseded;
  if (coupon.state === 'void') return coupon.closed ? say.closed : say.void;
  return say.expired(dateAndTime(coupon.expires_ms));
}

export function Past({ coupon }: { coupon: Coupon }) {
  const sign = coupon.state === 'redeemed' ? <Tick /> : coupon.state === 'superseded' ? <Rise /> : <Cross />;
  return (
    <li class={`past ${coupon.state}`} data-coupon={coupon.id} data-state={coupon.state}>
      <span class="sign">{sign}</span>
      <div>
        <h3>{called(coupon.title)}</h3>
        <p class="hint">{outcome(coupon)}</p>
        <WhyThis coupon={coupon} />
      </div>
    </li>
  );
}
