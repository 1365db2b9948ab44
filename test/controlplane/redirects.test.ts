import { pino } from 'pino';
import t from 'tap';
import { ActivePortals } from '../../lib/controlplane/activeportals.js';
import { Backlog } from '../../lib/controlplane/backlog.js';
import { Redirects } from '../../lib/controlplane/redirects.js';
import { NoneDriver } from '../../lib/redirect/none.js';

/** Its audit ends when the test says so. */
class WaitingDriver extends NoneDriver {
  readonly calls: string[] = [];
  endAudit = () => {};

  override async audit(): Promise<number> {
    this.calls.push('audit');
    await new Promise<void>((resolve) => {
      this.endAudit = resolve;
    });
    this.calls.push('end of the audit');
    return 0;
  }

  override openCarrier() {
    this.calls.push('carrier');
    return super.openCarrier();
  }
}

t.test('the driver tries no rules while it compares what is there with what is wanted', async (t) => {
  const driver = new WaitingDriver();
  const redirects = new Redirects(driver, new Backlog(), pino({ level: 'silent' }));
  const audit = redirects.audit(new ActivePortals());
  const carrier = redirects.openCarrier();
  while (driver.calls.length === 0) await new Promise(setImmediate);
  driver.endAudit();
  await audit;
  t.match(await carrier, { IPv4: /--redirect=none/, IPv6: /--redirect=none/ });
  t.strictSame(driver.calls, ['audit', 'end of the audit', 'carrier']);
});
