/** What the till knows, and how each thing that happens changes it. */
import type { Redemption, Settlement } from '../contract';
import type { Problem } from '../http';

/** One wish to redeem one code. Asked again after a lost answer, it carries the same key, so it counts once. */
export interface Attempt {
  code: string;
  key: string;
  /** What the customer pays, once the coupon asked for it. */
  amount_minor?: number;
}

export type Screen =
  | { name: 'ask'; hint: 'mistyped' | null }
  | { name: 'sending'; attempt: Attempt }
  | { name: 'yes'; redemption: Redemption; undo: 'possible' | 'sending' | 'done'; undoProblem: Problem | null }
  | { name: 'no'; attempt: Attempt; problem: Problem };

export interface State {
  typed: string;
  scanning: boolean;
  screen: Screen;
  settlement: Settlement | null;
}

export type Happening =
  | { kind: 'typed'; code: string }
  | { kind: 'mistyped' }
  | { kind: 'scanning'; on: boolean }
  | { kind: 'sent'; attempt: Attempt }
  | { kind: 'coupon.redeemed'; redemption: Redemption }
  | { kind: 'refused'; attempt: Attempt; problem: Problem }
  | { kind: 'undo.sent' }
  | { kind: 'coupon.restored' }
  | { kind: 'undo.refused'; problem: Problem }
  | { kind: 'next' }
  | { kind: 'settled'; settlement: Settlement };

const ASKING: Screen = { name: 'ask', hint: null };

export function reduce(state: State, event: Happening): State {
  const { screen } = state;
  switch (event.kind) {
    case 'typed':
      return { ...state, typed: event.code, screen: ASKING };
    case 'mistyped':
      return { ...state, screen: { name: 'ask', hint: 'mistyped' } };
    case 'scanning':
      return { ...state, scanning: event.on };
    case 'sent':
      return { ...state, scanning: false, screen: { name: 'sending', attempt: event.attempt } };
    case 'coupon.redeemed':
      return { ...state, typed: '', screen: { name: 'yes', redemption: event.redemption, undo: 'possible', undoProblem: null } };
    case 'refused':
      return { ...state, screen: { name: 'no', attempt: event.attempt, problem: event.problem } };
    case 'undo.sent':
      return screen.name === 'yes' ? { ...state, screen: { ...screen, undo: 'sending', undoProblem: null } } : state;
    case 'coupon.restored':
      return screen.name === 'yes' ? { ...state, screen: { ...screen, undo: 'done' } } : state;
    case 'undo.refused':
      return screen.name === 'yes' ? { ...state, screen: { ...screen, undo: 'possible', undoProblem: event.problem } } : state;
    case 'next':
      return { ...state, typed: '', scanning: false, screen: ASKING };
    case 'settled':
      return { ...state, settlement: event.settlement };
  }
}
