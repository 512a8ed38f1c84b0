/** The wallet's one store: the state, what was heard from the server, and what the member asks of it. */
import { signal } from '@preact/signals';
import { now_ms, setClock } from '../clock';
import type { Wallet } from '../contract';
import { ask } from '../http';
import { stillSignedIn } from '../session';
import { follow } from '../stream';
import { subscribe, unsubscribe } from './push';
import { isLive, reduce, type Happening, type State } from './state';

export const state = signal<State>({
  wallet: null,
  link: 'connecting',
  arrived: new Set(),
  turning: new Map(),
  failed: null,
  problem: null,
});

export function happen(event: Happening): void {
  state.value = reduce(state.value, event);
}

function hear(wallet: Wallet, age_ms = 0): void {
  setClock(wallet.at_ms + age_ms * wallet.speed, wallet.speed, wallet.timezone);
  happen({ kind: 'wallet', wallet });
  tellShown();
}

/** Coupons of which the server knows that they were seen here. */
const told = new Set<string>();

/** What is on the screen need not be announced elsewhere. */
function tellShown(): void {
  if (document.visibilityState !== 'visible') return;
  for (const coupon of state.value.wallet?.coupons ?? []) {
    if (!isLive(coupon, now_ms()) || told.has(coupon.id)) continue;
    told.add(coupon.id);
    void ask('post', '/v1/wallet/shown', { body: { coupon: coupon.id, channel: 'inbox' } });
  }
}

/** Shows the wallet and follows its changes until the returned function is called. */
export function start(): () => void {
  void fetchOnce();
  document.addEventListener('visibilitychange', tellShown);
  const leave = follow({
    path: '/v1/wallet/stream',
    hear: { wallet: (wallet: Wallet) => hear(wallet) },
    link: (link) => happen({ kind: 'link', link }),
    worthRetrying: stillSignedIn,
  });
  return () => {
    document.removeEventListener('visibilitychange', tellShown);
    leave();
  };
}

export async function fetchOnce(): Promise<void> {
  const answer = await ask('get', '/v1/wallet', {});
  if (answer.ok) hear(answer.body, answer.age_ms);
}

export async function turnConsent(purpose: string, granted: boolean): Promise<void> {
  happen({ kind: 'consent.turned', purpose, granted });
  if (purpose === 'web_push') {
    const problem = granted ? await subscribe() : (await unsubscribe(), null);
    if (problem) return happen({ kind: 'consent.answered', purpose, saved: false, problem });
  }
  const answer = await ask('put', '/v1/wallet/consents/{purpose}', { parts: { purpose }, body: { granted } });
  if (answer.ok) await fetchOnce();
  happen({ kind: 'consent.answered', purpose, saved: answer.ok, problem: null });
}
