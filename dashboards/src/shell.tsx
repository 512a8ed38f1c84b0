/** What surrounds every page: its bar, the sign-in form, and the frame that decides which of them is seen. */
import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { Door, Mark, Moon, Sun } from './icons';
import { language, speak } from './language';
import { theme, turnTheme } from './theme';
import { words } from './words';
import type { Role, Session } from './contract';
import type { Problem } from './http';
import { signedIn, signIn, signOut, type SignedIn } from './session';

export function LanguageButton() {
  const other = language.value === 'en' ? 'zh-Hans' : 'en';
  return (
    <button class="quiet" type="button" lang={other} title={words.value.otherLanguageHint} onClick={() => speak(other)}>
      {words.value.otherLanguage}
    </button>
  );
}

export function ThemeButton() {
  const label = theme.value === 'dark' ? words.value.toLight : words.value.toDark;
  return (
    <button class="quiet round" type="button" aria-label={label} title={label} onClick={turnTheme}>
      {theme.value === 'dark' ? <Sun /> : <Moon />}
    </button>
  );
}

function SignOutButton({ role }: { role: Role }) {
  return (
    <button
      class="quiet round"
      type="button"
      aria-label={words.value.signOut}
      title={words.value.signOut}
      onClick={() => void signOut(role)}
    >
      <Door />
    </button>
  );
}

export function Bar({ title, children }: { title: string; children?: ComponentChildren }) {
  const signed = signedIn.value;
  return (
    <header class="bar">
      <a class="brand" href={`/?lang=${language.value}`}>
        <Mark />
        <span>Sojourn</span>
      </a>
      <span class="bar-title">{title}</span>
      <div class="bar-middle">{children}</div>
      <div class="bar-tools">
        <LanguageButton />
        <ThemeButton />
        {signed.state === 'in' && <SignOutButton role={signed.session.role} />}
      </div>
    </header>
  );
}

/** A problem of the server's in the page's language, unless the page knows better words for its kind. */
export function plainly(problem: Problem): string {
  if (problem.kind === 'unreachable') return words.value.unreachable;
  return words.value.refused(problem.title, problem.status);
}

function whyOut(signed: SignedIn & { state: 'out' }, role: Role): string | null {
  if (signed.other) return words.value.otherRole(signed.other, role);
  if (!signed.problem) return null;
  return signed.problem.kind === 'not-signed-in' ? words.value.keyUnknown : plainly(signed.problem);
}

function SignInForm({ role, title, signed }: { role: Role; title: string; signed: SignedIn & { state: 'out' } }) {
  const [busy, setBusy] = useState(false);
  const why = whyOut(signed, role);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const key = new FormData(event.currentTarget as HTMLFormElement).get('key');
    setBusy(true);
    await signIn(String(key ?? '').trim(), role);
    setBusy(false);
  }

  return (
    <main class="sign-in">
      <form class="card" onSubmit={(event) => void submit(event as unknown as SubmitEvent)}>
        <Mark size={48} />
        <h1>{title}</h1>
        {why && (
          <p class="notice bad" role="alert">
            {why}
          </p>
        )}
        <label for="key">{words.value.key}</label>
        <input id="key" name="key" type="password" required autocomplete="current-password" aria-describedby="key-hint" />
        <p id="key-hint" class="hint">
          {words.value.keyHint[role]}
        </p>
        <button class="primary" type="submit" disabled={busy}>
          {busy ? words.value.signingIn : words.value.signIn}
        </button>
      </form>
    </main>
  );
}

/** Shows *children* to whoever may see them, and the way in to everyone else. */
export function Gate({ role, title, children }: { role: Role; title: string; children: (session: Session) => ComponentChildren }) {
  const signed = signedIn.value;
  document.title = `Sojourn · ${title}`;
  if (signed.state === 'in') return <>{children(signed.session)}</>;
  return (
    <>
      <Bar title={title} />
      {signed.state === 'out' ? (
        <SignInForm role={role} title={title} signed={signed} />
      ) : (
        <main class="sign-in" aria-busy="true">
          <p class="hint">{words.value.loading}</p>
        </main>
      )}
    </>
  );
}
