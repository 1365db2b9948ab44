import type { EndpointFilter, EndpointStatus } from '../dataplane/shared/endpoints.js';
import { jsonText } from '../server/answer.js';
import { listText } from '../server/listtext.js';
import { readQuery, service } from '../server/query.js';
import type { Route } from '../server/route.js';

/** The endpoints of this node's Services, see ServiceProxy.endpoints. */
export interface EndpointsSource {
  endpoints(filter: EndpointFilter): AsyncIterable<readonly EndpointStatus[]>;
}

/** The answer of `/v1/endpoints`. */
export interface EndpointsReport {
  readonly endpoints: readonly EndpointStatus[];
}

/** `/v1/endpoints?service=NAMESPACE/NAME`: what each endpoint has had through each Service port. */
export function endpointsRoute(source: EndpointsSource): Route {
  return ({ query }) => {
    const wanted = readQuery<Pick<EndpointFilter, 'service'>>(query, { service });
    return jsonText(listText('endpoints', source.endpoints({ ...wanted, onlyUsed: false })));
  };
}
