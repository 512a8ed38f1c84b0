/** The till's one store: the state, and what the shop asks of the server. */
import { signal } from '@preact/signals';
import { setClock } from '../clock';
import { ask } from '../http';
import { grouped, holds, normal } from './code';
import { reduce, type Attempt, type Happening, type State } from './state';

export const state = signal<State>({ typed: '', scanning: false, screen: { name: 'ask', hint: null }, settlement: null });

export function happen(event: Happening): void {
  state.value = reduce(state.value, event);
}

/** A coupon's QR code opened with the phone's own camera brings its code along. */
export function takeCodeFromAddress(): void {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (!code) return;
  history.replaceState(null, '', location.pathname + location.search);
  happen({ kind: 'typed', code: normal(code) });
}

export async function settle(): Promise<void> {
  const answer = await ask('get', '/v1/settlement', {});
  if (!answer.ok) return;
  const { at_ms, speed, timezone } = answer.body;
  setClock(at_ms, speed, timezone);
  happen({ kind: 'settled', settlement: answer.body });
}

/** Redeem what was typed, or say that it cannot be a code. */
export async function redeem(): Promise<void> {
  const code = state.value.typed;
  if (!holds(code)) return happen({ kind: 'mistyped' });
  await send({ code, key: crypto.randomUUID() });
}

export async function send(attempt: Attempt): Promise<void> {
  happen({ kind: 'sent', attempt });
  const answer = await ask('post', '/v1/redemptions', {
    body: { code: grouped(attempt.code), till: '', amount_minor: attempt.amount_minor ?? null },
    idempotencyKey: attempt.key,
  });
  if (answer.ok) happen({ kind: 'coupon.redeemed', redemption: answer.body });
  else happen({ kind: 'refused', attempt, problem: answer.problem });
  await settle();
}

export async function undo(redemption: string): Promise<void> {
  happen({ kind: 'undo.sent' });
  // Undoing twice is refused by the server as already undone, so this needs no key to count once.
  const answer = await ask('post', '/v1/redemptions/{redemption}/restore', { parts: { redemption } });
  if (answer.ok || answer.problem.kind === 'already-restored') happen({ kind: 'coupon.restored' });
  else happen({ kind: 'undo.refused', problem: answer.problem });
  await settle();
}
