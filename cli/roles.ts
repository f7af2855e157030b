/** The roles, in the order in which they are started. */
export const ROLES = ['store', 'door', 'processor', 'gateway'] as const;
export type Role = (typeof ROLES)[number];
