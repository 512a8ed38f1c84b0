/** The field for the code, and the camera beside it. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Camera, Cross } from '../icons';
import { caret, grouped, holds, LENGTH, normal } from './code';
import { Scanner } from './scanner';
import { happen, redeem, state } from './store';
import { words } from './words';

function CodeField({ busy }: { busy: boolean }) {
  const field = useRef<HTMLInputElement>(null);
  const place = useRef<number | null>(null);
  const { typed, screen, scanning } = state.value;
  const mistyped = (screen.name === 'ask' && screen.hint === 'mistyped') || (typed.length === LENGTH && !holds(typed));

  useEffect(() => {
    if (!scanning && !busy) field.current?.focus();
  }, [scanning, busy]);

  // Grouping moves letters about; the caret stays behind the letter that was typed.
  useLayoutEffect(() => {
    if (place.current !== null) field.current?.setSelectionRange(place.current, place.current);
    place.current = null;
  });

  function take(input: HTMLInputElement): void {
    const before = normal(input.value.slice(0, input.selectionStart ?? input.value.length)).length;
    const code = normal(input.value);
    place.current = caret(before);
    input.value = grouped(code);
    happen({ kind: 'typed', code });
  }

  return (
    <>
      <label for="code">{words.value.ask}</label>
      <input
        ref={field}
        id="code"
        class="code"
        value={grouped(typed)}
        onInput={(event) => take(event.currentTarget)}
        autocomplete="off"
        autocapitalize="characters"
        spellcheck={false}
        enterkeyhint="go"
        placeholder="0000-0000-0000-0"
        disabled={busy}
        aria-invalid={mistyped}
        aria-describedby="code-hint"
      />
      <p id="code-hint" class={mistyped ? 'notice bad' : 'hint'} role={mistyped ? 'alert' : undefined}>
        {mistyped ? words.value.mistyped : words.value.askHint}
      </p>
    </>
  );
}

export function Ask() {
  const [noCamera, setNoCamera] = useState(false);
  const { screen, scanning, typed } = state.value;
  const busy = screen.name === 'sending';
  const say = words.value;

  function found(code: string): void {
    happen({ kind: 'typed', code });
    happen({ kind: 'scanning', on: false });
    void redeem();
  }

  function refused(): void {
    setNoCamera(true);
    happen({ kind: 'scanning', on: false });
  }

  return (
    <form
      class="ask card"
      onSubmit={(event) => {
        event.preventDefault();
        void redeem();
      }}
    >
      {scanning && <Scanner found={found} refused={refused} />}
      <CodeField busy={busy} />
      {noCamera && (
        <p class="notice" role="alert">
          {say.noCamera}
        </p>
      )}
      <div class="acts">
        <button class="second" type="button" disabled={busy} onClick={() => happen({ kind: 'scanning', on: !scanning })}>
          {scanning ? <Cross /> : <Camera />}
          {scanning ? say.stopScan : say.scan}
        </button>
        <button class="primary" type="submit" disabled={busy || typed.length === 0}>
          {busy ? say.sending : say.redeem}
        </button>
      </div>
    </form>
  );
}
