import t from 'tap';
import { RtpsServices } from '../../../../../lib/dataplane/worker/udp/rtps/services.js';

t.test('the portals of a Service share what they know until the last one goes', async (t) => {
  const services = new RtpsServices();
  const service = services.open('default/robot');
  t.equal(services.open('default/robot'), service);
  t.not(services.open('default/other'), service);
  services.close('default/robot');
  t.equal(services.open('default/robot'), service);
  services.close('default/robot');
  services.close('default/robot');
  t.not(services.open('default/robot'), service);
});
