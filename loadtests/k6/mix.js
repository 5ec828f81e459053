// All journeys at a steady rate, in the shares of `chaos drive --mix shop`: what the figures of different tools are compared on.
//   k6 run -e SHOP=http://127.0.0.1:8080 -e RATE=20 -e SECONDS=30 loadtests/k6/mix.js

import { ROUTES, counted, mixed, number, options as steady } from './shop.js';

export const options = steady(ROUTES.mix, number('RATE', 20), number('SECONDS', 30));
export { setup } from './shop.js';
export default counted(mixed);
