/** What the live page says. */
import { bilingual } from '../language';
import type { Cause, Grade } from './state';

const KINDS_EN = {
  'visit.started': (n: string, _: string) => `${n} members arrived`,
  'zone.entered': (n: string, what: string) => `${n} members entered ${what}`,
  'coupon.issued': (n: string, what: string) => `${n} members were given ${what}`,
  'coupon.redeemed': (n: string, what: string) => `${n} members redeemed ${what}`,
  'coupon.superseded': (n: string, what: string) => `${n} members got a better offer than ${what}`,
  'visit.ended': (n: string, _: string) => `${n} members left`,
};
export type FeedKind = keyof typeof KINDS_EN;

const KINDS_ZH: typeof KINDS_EN = {
  'visit.started': (n) => `${n} 位会员到店`,
  'zone.entered': (n, what) => `${n} 位会员进入${what}`,
  'coupon.issued': (n, what) => `向 ${n} 位会员发放「${what}」`,
  'coupon.redeemed': (n, what) => `${n} 位会员核销「${what}」`,
  'coupon.superseded': (n, what) => `${n} 位会员的「${what}」已换成更好的优惠`,
  'visit.ended': (n) => `${n} 位会员离店`,
};

const GRADES_EN: Record<Grade, string> = { waiting: 'Waiting', live: 'Live', delayed: 'Delayed', stale: 'Stale' };
const GRADES_ZH: Record<Grade, string> = { waiting: '等待中', live: '实时', delayed: '延迟', stale: '过时' };

const CAUSES_EN: Record<Cause, string> = {
  offline: 'This device has no network.',
  stream: 'The connection to the server was lost. Trying again.',
  engine: 'The server is there, but its engine sends no new picture.',
  sensors: 'No sensor is being heard.',
  behind: 'The engine is behind with its work.',
};
const CAUSES_ZH: Record<Cause, string> = {
  offline: '此设备没有网络连接。',
  stream: '与服务器的连接已断开，正在重试。',
  engine: '服务器在线，但引擎没有送出新画面。',
  sensors: '没有收到任何传感器的信号。',
  behind: '引擎处理落后。',
};

export const words = bilingual(
  {
    title: 'Live',
    clock: 'Mall time',
    speed: (times: string) => `×${times}`,
    speedHint: 'The mall’s clock runs this many times faster than real time.',
    grades: GRADES_EN,
    causes: CAUSES_EN,
    shownIsOld: (age: string) => `What you see is ${age} old.`,

    present: 'Members present',
    presentHint: 'Opted in and heard; all others are invisible to us',
    trend: 'Members present since this page was opened',
    busiest: 'Busiest zone',
    busiestHint: (n: string) => `${n} members in it now`,
    longest: 'Longest stay',
    longestHint: (zone: string) => `median now in ${zone}`,
    sensors: 'Sensors heard',
    sensorsHint: (silent: number) => (silent === 0 ? 'All of them, within 30 s' : `${silent} silent: hatched on the plan`),
    sensorsOf: (live: string, all: string) => `${live} of ${all}`,
    nothing: '–',
    fewerThan: (k: number) => `< ${k}`,
    untold: 'hidden',
    kHint: (k: number) =>
      `“hidden”: fewer than ${k} members, or a count from which so few could be worked out. So nobody can be singled out.`,

    plan: (level: string) =>
      `Floor plan of ${level}. Arrow keys move it, plus and minus zoom. The zone table has the same numbers.`,
    levels: 'Level',
    zoomIn: 'Closer',
    zoomOut: 'Farther',
    fit: 'Whole plan',

    legend: (area_m2: string) => `Members per ${area_m2} m²`,
    legendTop: 'Scale ends at',
    legendNone: 'Nobody, or too few to show',
    legendSilent: 'No sensor heard: unknown',
    zones: 'Zones',
    thisLevel: 'This level',
    allLevels: 'All levels',
    zone: 'Zone',
    members: 'Members',
    stay: 'Median stay',
    stayHint: 'Half of the members now in the zone have been in it longer.',
    noMarketing: 'no offers here',
    feed: 'What happens',
    feedHint: (k: number) => `What ${k} or more members did, minute by minute.`,
    feedEmpty: 'Nothing yet. The first line comes when enough members have done the same.',
    kinds: KINDS_EN,
    nobody: 'No members to show yet',
    nobodyHint: (k: number) => `Sensors are heard, but fewer than ${k} members who opted in are in the mall.`,
    waiting: 'Waiting for the first picture…',
  },
  {
    title: '实时',
    clock: '商场时间',
    speed: (times: string) => `×${times}`,
    speedHint: '商场时钟相对真实时间的倍速。',
    grades: GRADES_ZH,
    causes: CAUSES_ZH,
    shownIsOld: (age: string) => `当前画面是 ${age}前的。`,

    present: '在店会员',
    presentHint: '已加入且有信号的会员；其他人对我们不可见',
    trend: '打开本页以来的在店会员数',
    busiest: '最热区域',
    busiestHint: (n: string) => `现有 ${n} 位会员`,
    longest: '停留最久',
    longestHint: (zone: string) => `${zone}内停留中位数`,
    sensors: '在线传感器',
    sensorsHint: (silent: number) => (silent === 0 ? '30 秒内全部有信号' : `${silent} 个无信号：图上以斜线标出`),
    sensorsOf: (live: string, all: string) => `${live} / ${all}`,
    nothing: '–',
    fewerThan: (k: number) => `< ${k}`,
    untold: '不显示',
    kHint: (k: number) => `「不显示」：会员少于 ${k} 位，或可由此推算出不足 ${k} 人的数字，以免有人被单独认出。`,

    plan: (level: string) => `${level}平面图。方向键移动，加减键缩放。区域表中有相同的数字。`,
    levels: '楼层',
    zoomIn: '放大',
    zoomOut: '缩小',
    fit: '显示全图',

    legend: (area_m2: string) => `每 ${area_m2} 平方米会员数`,
    legendTop: '色阶上限',
    legendNone: '无人，或人数太少不显示',
    legendSilent: '传感器无信号：未知',
    zones: '区域',
    thisLevel: '本层',
    allLevels: '全部楼层',
    zone: '区域',
    members: '会员',
    stay: '停留中位数',
    stayHint: '区域内现有会员中，一半停留得更久。',
    noMarketing: '此处不发优惠',
    feed: '动态',
    feedHint: (k: number) => `每分钟汇总，至少 ${k} 位会员才会成为一条动态。`,
    feedEmpty: '暂无动态。足够多的会员做了同一件事时会出现第一条。',
    kinds: KINDS_ZH,
    nobody: '暂无可显示的会员',
    nobodyHint: (k: number) => `传感器正常，但店内已加入的会员少于 ${k} 位。`,
    waiting: '正在等待第一幅画面…',
  },
);
