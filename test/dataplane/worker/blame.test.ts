import t from 'tap';
import { Blame, blameForConnect, blameForSend } from '../../../lib/dataplane/worker/blame.js';
import {
  EACCES,
  EADDRNOTAVAIL,
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINVAL,
  EMFILE,
  EMSGSIZE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
  EPERM,
  errnoName,
} from '../../../lib/sys/errno.js';

t.test('an endpoint is blamed for its refusals, and if it cannot be reached', async (t) => {
  for (const code of [ECONNREFUSED, EHOSTUNREACH, EACCES, EINVAL]) {
    t.equal(blameForConnect(code), Blame.Endpoint, errnoName(code));
    t.equal(blameForSend(code), Blame.Endpoint, errnoName(code));
  }
});

t.test('an endpoint is not blamed for what this node lacks', async (t) => {
  for (const code of [EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EAGAIN]) {
    t.equal(blameForConnect(code), Blame.Node, errnoName(code));
    t.equal(blameForSend(code), Blame.Node, errnoName(code));
  }
});

t.test('an endpoint is not blamed for a datagram that is too long or filtered', async (t) => {
  t.equal(blameForSend(EMSGSIZE), Blame.Datagram);
  t.equal(blameForSend(EPERM), Blame.Node);
  t.equal(blameForConnect(EPERM), Blame.Endpoint, 'a policy about one endpoint leaves the others');
});
