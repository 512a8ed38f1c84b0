/** A member's coupons, and what the member allows. */
import '../base.css';
import './wallet.css';
import './parts.css';
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { now_ms } from '../clock';
import type { Wallet } from '../contract';
import { hour, timeOfDay } from '../format';
import { Mark } from '../icons';
import { called } from '../language';
import { arrive, signedIn } from '../session';
import { Bar, Gate } from '../shell';
import { words as shared } from '../words';
import { Brought, Second } from './brought';
import { Consents } from './consents';
import { Past, Ticket } from './coupon';
import { invitation, takeInvitationFromAddress } from './invited';
import { Join } from './join';
import { Reach } from './reach';
import { isLive } from './state';
import { start, state } from './store';
import { words } from './words';

/** What coupons need before any can come. */
const NEEDED = ['presence', 'personal_offers', 'inbox'];

function NoCoupons({ wallet }: { wallet: Wallet }) {
  const allowed = NEEDED.every((purpose) => wallet.consents.find((one) => one.purpose === purpose)?.granted);
  return (
    <div class="empty card">
      <Mark size={64} />
      <p>{allowed ? words.value.none : words.value.noneWithout}</p>
      {allowed && <p class="hint">{words.value.noneHint}</p>}
    </div>
  );
}

function Coupons({ wallet }: { wallet: Wallet }) {
  const at_ms = now_ms();
  const say = words.value;
  const live = wallet.coupons.filter((coupon) => isLive(coupon, at_ms));
  const past = wallet.coupons.filter((coupon) => !isLive(coupon, at_ms));
  const newest = live.find((coupon) => state.value.arrived.has(coupon.id));
  const cut = state.value.link === 'lost' || state.value.link === 'offline';
  return (
    <main class="wallet">
      <header>
        <h1>{say.greeting(hour(at_ms), wallet.name)}</h1>
        <p class="hint">{say.forYou(live.length)}</p>
      </header>
      <p class="unseen" aria-live="polite">
        {newest && say.arrived(called(newest.title))}
      </p>
      <div role="status">{cut && <p class="notice">{say.lost(timeOfDay(wallet.at_ms))}</p>}</div>
      <Second wallet={wallet} />
      {live.map((coupon) => (
        <Ticket key={coupon.id} coupon={coupon} />
      ))}
      {live.length === 0 && <NoCoupons wallet={wallet} />}
      {past.length > 0 && (
        <section aria-labelledby="history">
          <h2 id="history">{say.history}</h2>
          <ul class="history card">
            {past.map((coupon) => (
              <Past key={coupon.id} coupon={coupon} />
            ))}
          </ul>
        </section>
      )}
      <Consents consents={wallet.consents} login={wallet.login} />
      <Reach consents={wallet.consents} />
      <Brought wallet={wallet} />
    </main>
  );
}

function Contents() {
  useEffect(start, []);
  const { wallet, link } = state.value;
  return (
    <>
      <Bar title={words.value.title} />
      {wallet ? (
        <Coupons wallet={wallet} />
      ) : (
        <main class="wallet" aria-busy="true">
          <p class="empty">{link === 'lost' || link === 'offline' ? shared.value.unreachable : shared.value.loading}</p>
        </main>
      )}
    </>
  );
}

function Page() {
  const [hasKey, setHasKey] = useState(false);
  const now = invitation.value;
  const invited = now.state === 'asking' || now.state === 'open' || now.state === 'over';
  if (invited && !hasKey && signedIn.value.state === 'out') return <Join now={now} haveKey={() => setHasKey(true)} />;
  return (
    <Gate role="member" title={words.value.title}>
      {() => <Contents />}
    </Gate>
  );
}

void takeInvitationFromAddress();
addEventListener('hashchange', () => void takeInvitationFromAddress());
render(<Page />, document.getElementById('page')!);
void arrive('member');

// Only where the page is served securely; elsewhere the wallet works as a page that needs the network.
if ('serviceWorker' in navigator) void navigator.serviceWorker.register('/worker.js');
