/** Where shop staff redeem coupons: one field, one green or red answer. */
import '../base.css';
import './till.css';
import './people.css';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Session } from '../contract';
import { called } from '../language';
import { arrive } from '../session';
import { Bar, Gate } from '../shell';
import { Arrivals } from './arrivals';
import { Ask } from './ask';
import { Bringing } from './bringing';
import { settle, state, takeCodeFromAddress } from './store';
import { Today } from './today';
import { No, Yes } from './verdict';
import { words } from './words';

function Till({ session }: { session: Session }) {
  useEffect(() => {
    void settle();
  }, []);
  const { screen, settlement } = state.value;
  return (
    <>
      <Bar title={words.value.title} />
      <main class="till">
        <p class="shop">{called(session.name ?? {}) || session.subject}</p>
        {screen.name === 'ask' && <Arrivals />}
        {screen.name === 'yes' && <Yes key={screen.redemption.redemption} screen={screen} />}
        {screen.name === 'no' && <No key={screen.attempt.key} screen={screen} />}
        {(screen.name === 'ask' || screen.name === 'sending') && <Ask />}
        {settlement && <Today settlement={settlement} />}
        <Bringing />
      </main>
    </>
  );
}

function Page() {
  return (
    <Gate role="shop" title={words.value.title}>
      {(session) => <Till session={session} />}
    </Gate>
  );
}

takeCodeFromAddress();
addEventListener('hashchange', takeCodeFromAddress);
render(<Page />, document.getElementById('page')!);
void arrive('shop');
