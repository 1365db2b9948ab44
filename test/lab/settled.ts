import type { KubePortal } from './kubeportal.js';

/**
 * Resolves once each portal has so many endpoints, and no UDP flow is carried to others. The kernel carries
 * such a flow for some milliseconds after `status` shows the change.
 */
export async function settled(kubePortal: KubePortal, endpoints: number): Promise<void> {
  await kubePortal.until(async () => {
    const { portals } = await kubePortal.status();
    if (portals.some((portal) => portal.endpoints.length !== endpoints)) return false;
    const present = new Set<string | null>(portals.flatMap((portal) => portal.endpoints));
    const { sessions } = await kubePortal.sessions();
    const carried = sessions.filter(
      ({ carrier, portal }) => carrier === 'kernel' && portal?.includes('/UDP/'),
    );
    return carried.every(({ endpoint }) => present.has(endpoint));
  }, `each portal has ${endpoints} endpoints`);
}
