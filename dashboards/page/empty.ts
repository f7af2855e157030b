import { h } from './dom.ts';

/** What a newcomer sees: how to publish the first reading, ready to copy. */
export function firstSteps(mqtt: string): HTMLElement {
  const at = mqtt.lastIndexOf(':');
  const host = mqtt.slice(0, at).replace(/^\[|\]$/g, '');
  const port = mqtt.slice(at + 1);
  const command = `mosquitto_pub -h ${host === '0.0.0.0' || host === '::' ? location.hostname : host} -p ${port} -i pump-1 -q 1 -t devices/pump-1/telemetry -m '{"temperature":21.5}'`;
  const copy = h('button', { type: 'button' }, 'Copy');
  copy.addEventListener('click', () => {
    void navigator.clipboard?.writeText(command).then(() => {
      copy.textContent = 'Copied';
      setTimeout(() => {
        copy.textContent = 'Copy';
      }, 1_500);
    });
  });
  return h(
    'div',
    { class: 'notice empty first-steps' },
    h('strong', {}, 'No device has published yet'),
    h('p', {}, 'Publish a reading, and it appears here within a second or two:'),
    h('div', { class: 'command' }, h('code', {}, command), copy),
    h('p', {}, 'Or let a simulated fleet publish: ', h('code', {}, 'sluice simulate greenhouse')),
  );
}
