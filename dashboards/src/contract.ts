/** The server's types by the names that pages use. All of them come from its OpenAPI document. */
import type { components, paths } from './api';

type Schemas = components['schemas'];

export type { paths };
export type Session = Schemas['Session'];
export type Role = Session['role'];
export type Plan = Schemas['PlanShape'];
export type Zone = Schemas['ZoneShape'];
export type Level = Schemas['LevelShape'];
export type Frame = Schemas['Frame'];
export type FeedLine = Schemas['FeedLine'];
export type Wallet = Schemas['Wallet'];
export type Coupon = Schemas['HeldCoupon'];
export type Consent = Schemas['ConsentState'];
export type Redemption = Schemas['Spent'];
export type Settlement = Schemas['Settlement'];
export type InvitationLink = Schemas['Link'];
export type Invited = Schemas['Invited'];
export type Arrival = Schemas['Arrival'];
export type Credit = Schemas['Credit'];
export type Ways = Schemas['Ways'];
export type Why = Schemas['Reasons'];
export type BroughtBy = Schemas['BroughtBy'];
