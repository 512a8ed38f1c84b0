/** An invitation that was scanned: who invites, and what comes of it. */
import { signal } from '@preact/signals';
import type { Invited } from '../contract';
import { ask, type Problem } from '../http';
import { language } from '../language';
import { signIn } from '../session';

export type Invitation =
  | { state: 'none' }
  | { state: 'asking'; id: string }
  | { state: 'open'; id: string; by: Invited }
  | { state: 'over'; problem: Problem }
  /** Another shop is credited, and stays so. */
  | { state: 'refused'; by: Invited; problem: Problem };

export const invitation = signal<Invitation>({ state: 'none' });
/** Why joining did not work; the form stays as it was. */
export const joinProblem = signal<Problem | null>(null);

/** The page can be loaded anew while nobody has joined: the id stays in the address until then. */
export async function takeInvitationFromAddress(): Promise<void> {
  const id = new URLSearchParams(location.hash.slice(1)).get('invited');
  if (!id) return;
  invitation.value = { state: 'asking', id };
  const answer = await ask('get', '/v1/invited/{invitation}', { parts: { invitation: id } });
  invitation.value = answer.ok ? { state: 'open', id, by: answer.body } : { state: 'over', problem: answer.problem };
}

export function dismiss(): void {
  if (location.hash) history.replaceState(null, '', location.pathname + location.search);
  invitation.value = { state: 'none' };
}

export interface Newcomer {
  name: string;
  birthday: string | null;
  consents: string[];
}

/** One for each form that is shown: asked again after a lost answer, it joins the same member. */
export const joinKey = () => crypto.getRandomValues(new Uint32Array(5)).join('-').padEnd(32, '-');

export async function join(id: string, key: string, newcomer: Newcomer): Promise<void> {
  joinProblem.value = null;
  const answer = await ask('post', '/v1/invited/{invitation}/members', {
    parts: { invitation: id },
    body: { ...newcomer, language: language.value },
    idempotencyKey: key,
  });
  if (!answer.ok) {
    joinProblem.value = answer.problem;
    return;
  }
  await signIn(answer.body.wallet_key, 'member');
  dismiss();
}

/** A member credits whoever invites, unless another shop still is. */
export async function follow(id: string, by: Invited): Promise<void> {
  const answer = await ask('put', '/v1/wallet/brought-by', { body: { invitation: id } });
  if (answer.ok) dismiss();
  else invitation.value = { state: 'refused', by, problem: answer.problem };
}

export async function callMe(called: string): Promise<boolean> {
  return (await ask('put', '/v1/wallet/called', { body: { called } })).ok;
}
