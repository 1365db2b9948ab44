/** One page of a list. */
export interface ListPage {
  readonly items: readonly unknown[];
  /** The resourceVersion of the whole list. */
  readonly version: string;
  /** Token for the next page. Empty in the last page. */
  readonly next: string;
}

/** @throws Error if the answer is not a list */
export function readListPage(body: unknown): ListPage {
  const { items, metadata } = body as {
    items?: unknown;
    metadata?: { resourceVersion?: string; continue?: string };
  };
  if (metadata?.resourceVersion === undefined || (items !== null && !Array.isArray(items))) {
    throw new Error('the answer is not a list of Kubernetes objects; check the address of the API server');
  }
  return { items: items ?? [], version: metadata.resourceVersion, next: metadata.continue ?? '' };
}
