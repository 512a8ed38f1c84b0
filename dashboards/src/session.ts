/** Who uses this page. The key is read once from the address or the form; after that a cookie that scripts cannot read. */
import { signal } from '@preact/signals';
import type { Role, Session } from './contract';
import { ask, whenSignedOut, type Problem } from './http';

export type SignedIn =
  | { state: 'asking' }
  | { state: 'out'; problem: Problem | null; other: Role | null }
  | { state: 'in'; session: Session };

export const signedIn = signal<SignedIn>({ state: 'asking' });

const out = (problem: Problem | null, other: Role | null = null): SignedIn => ({ state: 'out', problem, other });

whenSignedOut(() => {
  if (signedIn.value.state === 'in') signedIn.value = out(null);
});

function keyInAddress(): string | null {
  const key = new URLSearchParams(location.hash.slice(1)).get('key');
  // A key must not stay in the history, a bookmark or a screenshot.
  if (key) history.replaceState(null, '', location.pathname + location.search);
  return key;
}

function enter(session: Session, role: Role): void {
  signedIn.value = session.role === role ? { state: 'in', session } : out(null, session.role);
}

export async function signIn(key: string, role: Role): Promise<void> {
  const answer = await ask('post', '/v1/session', { body: { key } });
  if (answer.ok) enter(answer.body, role);
  else signedIn.value = out(answer.problem);
}

export async function signOut(role: Role): Promise<void> {
  await ask('delete', '/v1/session', { query: { role } });
  signedIn.value = out(null);
}

/** Called once by a page that needs *role*. */
export async function arrive(role: Role): Promise<void> {
  // A link with a key that is opened in this tab changes only the part behind the #.
  addEventListener('hashchange', () => {
    const key = keyInAddress();
    if (key) void signIn(key, role);
  });
  const key = keyInAddress();
  if (key) return signIn(key, role);
  const answer = await ask('get', '/v1/session', { query: { role } });
  if (answer.ok) enter(answer.body, role);
  else signedIn.value = out(answer.problem.status === 401 ? null : answer.problem);
}

/** After a stream was refused: whether the session still holds, so that it may be asked for again. */
export async function stillSignedIn(): Promise<boolean> {
  const signed = signedIn.value;
  if (signed.state !== 'in') return false;
  const answer = await ask('get', '/v1/session', { query: { role: signed.session.role } });
  return answer.ok || answer.problem.status !== 401;
}
