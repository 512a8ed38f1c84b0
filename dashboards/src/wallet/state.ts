/** What the wallet knows, and how each thing that happens changes it. */
import type { Coupon, Wallet } from '../contract';
import type { Link } from '../stream';
import type { PushProblem } from './push';

export interface State {
  wallet: Wallet | null;
  link: Link;
  /** Coupons that came while the page was open, so that they can be pointed at. */
  arrived: ReadonlySet<string>;
  /** Purposes whose switch was turned and not yet answered, and to what. */
  turning: ReadonlyMap<string, boolean>;
  failed: string | null;
  /** What stood in the way, where it was not the server. */
  problem: PushProblem | null;
}

export type Happening =
  | { kind: 'wallet'; wallet: Wallet }
  | { kind: 'link'; link: Link }
  | { kind: 'consent.turned'; purpose: string; granted: boolean }
  | { kind: 'consent.answered'; purpose: string; saved: boolean; problem: PushProblem | null };

export function reduce(state: State, event: Happening): State {
  switch (event.kind) {
    case 'wallet': {
      const known = new Set(state.wallet?.coupons.map((coupon) => coupon.id));
      const fresh = state.wallet === null ? [] : event.wallet.coupons.filter((coupon) => !known.has(coupon.id));
      return { ...state, wallet: event.wallet, arrived: new Set([...state.arrived, ...fresh.map((coupon) => coupon.id)]) };
    }
    case 'link':
      return { ...state, link: event.link };
    case 'consent.turned':
      return { ...state, failed: null, problem: null, turning: new Map(state.turning).set(event.purpose, event.granted) };
    case 'consent.answered': {
      const turning = new Map(state.turning);
      turning.delete(event.purpose);
      return { ...state, turning, failed: event.saved ? null : event.purpose, problem: event.problem };
    }
  }
}

/** Still of use at mall time *at_ms*: the server says expired a moment later than the clock does. */
export const isLive = (coupon: Coupon, at_ms: number) => coupon.state === 'issued' && coupon.expires_ms > at_ms;
