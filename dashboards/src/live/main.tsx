/** The mall, live: for marketers. */
import '../base.css';
import './live.css';
import './plan.css';
import './zones.css';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { Mark } from '../icons';
import { arrive } from '../session';
import { Bar, Gate } from '../shell';
import { Feed } from './feed';
import { Figures } from './figures';
import { Banner, MallClock, Pill } from './fresh';
import { PlanView } from './plan';
import { start, state } from './store';
import { words } from './words';
import { ZoneTable } from './zones';

function Live() {
  useEffect(start, []);
  const { plan } = state.value;
  return (
    <>
      <Bar title={words.value.title}>
        <MallClock />
        <Pill />
      </Bar>
      <main class="overview">
        <h1 class="unseen">{words.value.title}</h1>
        <Banner />
        <Figures />
        {plan ? (
          <>
            <PlanView plan={plan} />
            <ZoneTable plan={plan} />
          </>
        ) : (
          <section class="plan card empty" aria-busy="true">
            <Mark size={56} />
            <p>{words.value.waiting}</p>
          </section>
        )}
        <Feed />
      </main>
    </>
  );
}

function Page() {
  return (
    <Gate role="operator" title={words.value.title}>
      {() => <Live />}
    </Gate>
  );
}

render(<Page />, document.getElementById('page')!);
void arrive('operator');
