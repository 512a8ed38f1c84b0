/** The way in: one card for each group of people. */
import '../base.css';
import './home.css';
import { render } from 'preact';
import { Bar } from '../shell';
import { bilingual, language } from '../language';
import { LivePicture, TillPicture, WalletPicture } from './pictures';

const words = bilingual(
  {
    title: 'A visit that lasts',
    intro: 'Wi-Fi presence of members who opted in, turned into a day worth staying for.',
    pages: [
      { path: '/live', name: 'Live', who: 'For marketers', what: 'The mall this second: where members are, how long they stay, what they were given.' },
      { path: '/wallet', name: 'Wallet', who: 'For members', what: 'Your coupons as they arrive, why you got them, and what you allow us to know.' },
      { path: '/till', name: 'Till', who: 'For shop staff', what: 'Type or scan a code. Green is yes, red says why not.' },
    ],
    privacy: 'Nobody is shown alone: counts too small are hidden, and phones of people who did not opt in are dropped at the sensor.',
  },
  {
    title: '让每一次到访更长久',
    intro: '依据主动加入的会员的 Wi-Fi 到店信息，让一天都值得停留。',
    pages: [
      { path: '/live', name: '实时', who: '市场人员', what: '此刻的商场：会员在哪里、停留多久、收到了什么。' },
      { path: '/wallet', name: '卡包', who: '会员', what: '优惠券随到随看，为什么发给您，以及您允许我们了解什么。' },
      { path: '/till', name: '收银', who: '店员', what: '输入或扫描券码。绿色为可用，红色会说明原因。' },
    ],
    privacy: '绝不单独显示任何人：人数过少时不予显示；未加入者的手机信号在传感器处即被丢弃。',
  },
);

const PICTURES = [LivePicture, WalletPicture, TillPicture];

function Home() {
  const { title, intro, pages, privacy } = words.value;
  document.title = `Sojourn · ${title}`;
  return (
    <>
      <Bar title="" />
      <main class="home">
        <h1>{title}</h1>
        <p class="intro">{intro}</p>
        <ul class="doors">
          {pages.map(({ path, name, who, what }, index) => {
            const Picture = PICTURES[index]!;
            return (
              <li key={path}>
                <a class="card door" href={`${path}?lang=${language.value}`}>
                  <Picture />
                  <span class="who">{who}</span>
                  <h2>{name}</h2>
                  <p>{what}</p>
                </a>
              </li>
            );
          })}
        </ul>
        <p class="hint">{privacy}</p>
      </main>
    </>
  );
}

render(<Home />, document.getElementById('page')!);
