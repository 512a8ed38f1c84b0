/** What every page says: its frame, signing in, and a server that does not answer. */
import { bilingual } from './language';
import type { Role } from './contract';

const PEOPLE_EN: Record<Role, string> = { operator: 'an operator', shop: 'a shop', member: 'a member' };
const PEOPLE_ZH: Record<Role, string> = { operator: '运营人员', shop: '商户', member: '会员' };

export const words = bilingual(
  {
    otherLanguage: '中文',
    otherLanguageHint: '切换到中文',
    toDark: 'Dark theme',
    toLight: 'Light theme',
    signOut: 'Sign out',
    signIn: 'Sign in',
    signingIn: 'Signing in…',
    key: 'Access key',
    keyHint: { operator: 'Printed when the server starts.', shop: 'Handed out by the mall.', member: 'From your invitation.' },
    keyUnknown: 'No one holds this key. Check that it was copied whole.',
    otherRole: (has: Role, needs: Role) =>
      `That is the key of ${PEOPLE_EN[has]}. This page needs the key of ${PEOPLE_EN[needs]}.`,
    unreachable: 'The server does not answer. Check the network, then try again.',
    refused: (title: string, status: number) => `The server refused: ${title} (${status}).`,
    tryAgain: 'Try again',
    loading: 'One moment…',
  },
  {
    otherLanguage: 'English',
    otherLanguageHint: 'Switch to English',
    toDark: '深色主题',
    toLight: '浅色主题',
    signOut: '退出',
    signIn: '登录',
    signingIn: '正在登录…',
    key: '访问密钥',
    keyHint: { operator: '服务器启动时会显示。', shop: '由商场发放。', member: '见您的邀请信息。' },
    keyUnknown: '密钥无效，请确认已完整复制。',
    otherRole: (has: Role, needs: Role) => `这是${PEOPLE_ZH[has]}的密钥，本页需要${PEOPLE_ZH[needs]}的密钥。`,
    unreachable: '服务器没有响应。请检查网络后重试。',
    refused: (title: string, status: number) => `服务器拒绝了请求：${title}（${status}）。`,
    tryAgain: '重试',
    loading: '请稍候…',
  },
);
